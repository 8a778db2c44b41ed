//! Every seed of every fuzz target, under stable Rust.
use std::fs;
use std::path::Path;

#[test]
fn all_seeds() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../seeds");
    for (target, body) in fintail_fuzz_bodies::TARGETS {
        let mut ran = 0;
        for seed in fs::read_dir(seeds.join(target)).expect("a folder of seeds") {
            let path = seed.expect("a readable folder").path();
            println!("{}", path.display());
            body(&fs::read(&path).expect("a readable seed"));
            ran += 1;
        }
        assert!(ran > 0, "no seed for {target}");
    }
}
