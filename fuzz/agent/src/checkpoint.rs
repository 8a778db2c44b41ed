//! The checkpoint's reader: never panics, never takes a damaged file for a whole one.
use fintail::checkpoint::Checkpoint;
use fintail::checkpoint::store::Store;
use std::fs;
use std::sync::LazyLock;
use tempfile::TempDir;

static DIR: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

fn load(file: &[u8]) -> Option<Checkpoint> {
    fs::write(DIR.path().join("checkpoint"), file).expect("a writable folder");
    Store::new(DIR.path()).load(|_| ()).ok().flatten()
}

/// The bytes as a file; then as the content of a whole file that is damaged where the first bytes say.
pub fn checkpoint(data: &[u8]) {
    if let Some(read) = load(data) {
        let head_end = data.iter().position(|b| *b == b'\n').expect("a head") + 1;
        let (head, body) = data.split_at(head_end);
        let crc = format!("{:08x}", crc32c::crc32c(body));
        let told = head.split(u8::is_ascii_whitespace).any(|word| word.eq_ignore_ascii_case(crc.as_bytes()));
        let short = crc.trim_start_matches('0');
        assert!(told || String::from_utf8_lossy(head).contains(short), "taken with another checksum");
        assert_eq!(serde_json::from_slice::<Checkpoint>(body).ok(), Some(read));
    }
    let Some((place, body)) = data.split_first_chunk::<3>() else { return };
    let mut file = format!("fintail-checkpoint 1 {:08x}\n", crc32c::crc32c(body)).into_bytes();
    let whole = load(&file);
    file.extend_from_slice(body);
    assert!(whole.is_none() || body.is_empty(), "a torn file is taken");
    let whole = load(&file);
    assert_eq!(whole, serde_json::from_slice(body).ok(), "a whole file is refused");
    let [low, high, flip] = *place;
    let at = usize::from(u16::from_le_bytes([low, high])) % file.len();
    if let Some(byte) = file.get_mut(at) {
        *byte ^= flip.max(1);
    }
    if let Some(read) = load(&file) {
        assert_eq!(Some(read), whole, "a damaged file is taken, byte {at}");
    }
}
