//! Whole configurations: defaults, errors as they are printed, values in all their forms.
//! Must not know the modules' inside.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Config, ConfigErrors> {
    parse_with(text, "fintail.yaml", &|name| match name {
        "NODE_NAME" => Some("node-7".to_owned()),
        "SIZE" => Some("5MiB".to_owned()),
        "BAD" => Some("hunter2".to_owned()),
        _ => None,
    })
}

/// `text` beside a good endpoint.
fn with(text: &str) -> Result<Config, ConfigErrors> {
    read(&format!("{text}\noutput: {{endpoints: [\"https://es:9200\"]}}\n"))
}

/// `path: cause` of each error.
fn causes(result: Result<Config, ConfigErrors>) -> Vec<String> {
    let errors = result.err().map(|e| e.errors).unwrap_or_default();
    errors.iter().map(|e| format!("{}: {}", e.path, e.cause)).collect()
}

/// The contract's YAML without its lines marked `# e.g.`, for what it says about defaults.
const CONTRACT: &str = r#"
role: all
node: {name: {env: NODE_NAME}}
state_dir: /var/lib/fintail
sources:
  containers:
    enabled: true
    root: /var/log/pods
    docker: false
    include: [{namespace: "*"}]
    start: beginning
    multiline: auto
  kubelet:
    journal: {enabled: false, directories: [/var/log/journal, /run/log/journal], units: [kubelet.service, containerd.service], host_security: false}
    files: []
kubernetes: {metadata: auto, annotations: {namespaces: [], ship: []}}
parse: {json: auto, formats: auto}
redaction:
  pan: first6_last4
  token_domain: namespace
  json_numbers: string
  dry_run: false
detection: {rules: []}
output:
  endpoints: [https://es-0:9200, https://es-1:9200]
  data_stream: {type: logs, namespace: "{cluster.environment}"}
  setup: auto
  retention: {default: 30d, audit: 365d}
  compression: auto
  batch: {bytes: 4MiB, events: 10000, age: 1s}
  in_flight: 4
  connect_timeout: 5s
  timeout: 60s
  backoff: {initial: 250ms, max: 30s}
  priority: ["kubernetes.audit", "aws.*", "*"]
  allow_plaintext: false
limits: {memory: 64MiB, unacked: {bytes: 64MiB, age: 5m}, spool: 2GiB, event: 1MiB, multiline_lines: 500, multiline_age: 5s, partial_age: 60s, deleted_files: 1GiB, dead_letters: 256MiB}
shutdown: {drain: 20s}
admin: {listen: "[::]:9598", socket: /run/fintail/admin.sock}
"#;

/// The same with its examples.
const CONTRACT_WITH_EXAMPLES: &str = r#"
role: all
node: {name: {env: NODE_NAME}}
state_dir: /var/lib/fintail
cluster: {name: prod-eu, environment: prod, checkpoint: {config_map: fintail-aws}}
sources:
  containers:
    enabled: true
    root: /var/log/pods
    docker: false
    include: [{namespace: "*"}]
    exclude: [{namespace: kube-system, container: "istio-*"}]
    start: beginning
    multiline: auto
    rate_limit: [{namespace: "dev-*", bytes_per_s: 1MiB}]
  kubelet:
    journal: {enabled: false, directories: [/var/log/journal, /run/log/journal], units: [kubelet.service, containerd.service], host_security: false}
    files: []
  files: [{path: "/var/log/app/*.log", dataset: app}]
  cloudtrail: {sqs: {queue_url: …}, lookup_events: {enabled: false}}
  cloudwatch: {groups: [{name: /aws/eks/prod/cluster}], start: now, settle: 60s, sweep: {window: 1h, every: 30m}}
kubernetes: {metadata: auto, annotations: {namespaces: [], ship: []}}
parse: {json: auto, formats: auto}
datasets: [{namespace: "pay-*", dataset: payments}]
filters: [{drop: {field: log.level, equals: debug}}, {sample: {field: url.path, matches: "^/health", rate: 0.01}}]
redaction:
  rules: {email: token, phone: off}
  pan: first6_last4
  token_key: {id: k1, file: /etc/fintail/token.key}
  token_domain: namespace
  custom: [{name: loyalty_id, pattern: 'LY-\d{8}', action: token}]
  fields: [{path: "customer.name", action: token}]
  keep: [{dataset: kubernetes.audit, path: user.username}]
  overrides: [{namespace: "pay-*", rules: {email: drop}}]
  json_numbers: string
  dry_run: false
detection: {rules: []}
output:
  endpoints: [https://es-0:9200, https://es-1:9200]
  tls: {ca_file: …, cert_file: …, key_file: …}
  auth: {basic: {username: …, password: {file: …}}}
  data_stream: {type: logs, namespace: "{cluster.environment}"}
  setup: auto
  retention: {default: 30d, audit: 365d}
  compression: auto
  batch: {bytes: 4MiB, events: 10000, age: 1s}
  in_flight: 4
  connect_timeout: 5s
  timeout: 60s
  backoff: {initial: 250ms, max: 30s}
  priority: ["kubernetes.audit", "aws.*", "*"]
  allow_plaintext: false
setup: {auth: {basic: {username: …, password: {file: …}}}, kibana: https://kibana:5601}
limits: {memory: 64MiB, unacked: {bytes: 64MiB, age: 5m}, spool: 2GiB, event: 1MiB, multiline_lines: 500, multiline_age: 5s, partial_age: 60s, deleted_files: 1GiB, dead_letters: 256MiB}
shutdown: {drain: 20s}
admin: {listen: "[::]:9598", socket: /run/fintail/admin.sock}
"#;

#[test]
fn the_contracts_defaults_are_the_defaults() {
    let written = read(CONTRACT).unwrap_or_else(|e| panic!("{e}"));
    let unwritten = read("output: {endpoints: [https://es-0:9200, https://es-1:9200]}").unwrap();
    assert_eq!(format!("{written:#?}"), format!("{unwritten:#?}"));
    // Each of them stands in the schema's own table too, as a gap with the same default or as a field above.
    let written = tree_of(CONTRACT);
    for key in schema::KEYS.iter().filter(|k| matches!(k.absent, schema::Absent::Default(_))) {
        let exempt = key.path.contains("[]")
            || key.path.contains(".cloud")
            || [
                "sources.containers.exclude",
                "sources.containers.rate_limit",
                "sources.files",
                "datasets",
                "filters",
                "redaction.rules",
                "redaction.custom",
                "redaction.fields",
                "redaction.keep",
                "redaction.overrides",
                "redaction.allow_unredacted",
            ]
            .contains(&key.path);
        assert!(exempt || has(&written, key.path), "{} is not in the contract's defaults", key.path);
    }
}

#[test]
fn the_contracts_examples_are_known() {
    let found = causes(read(CONTRACT_WITH_EXAMPLES));
    let gaps: Vec<_> = schema::GAPS.iter().map(|g| g.path).collect();
    assert_eq!(found.len(), 13, "{found:#?}");
    for error in found {
        let path = error.split(": not supported by this version: ").next().unwrap();
        assert!(gaps.contains(&path), "{error}");
    }
}

#[test]
fn many_errors_in_one_long_line() {
    let text: String = (0..20_000).map(|i| format!("k{i}: hunter2, ")).collect();
    let errors = read(&format!("{{{text}}}")).expect_err("unknown keys");
    assert_eq!((errors.errors.len(), errors.omitted), (limits::CONFIG_MAX_ERRORS, 20_001 - 100));
    assert!(errors.errors.iter().all(|e| e.excerpt.len() < 200 && !e.excerpt.contains("hunter")));
}

fn tree_of(text: &str) -> tree::Node {
    tree::parse(text).unwrap_or_else(|e| panic!("{e:?}"))
}

fn has(node: &tree::Node, path: &str) -> bool {
    path.split('.')
        .try_fold(node, |node, name| match &node.kind {
            tree::Kind::Map(entries) => entries.iter().find(|e| e.key == name).map(|e| &e.value),
            _ => None,
        })
        .is_some()
}

#[test]
fn defaults_in_their_types() {
    let c = read("output: {endpoints: [https://es-0:9200]}").unwrap();
    assert_eq!((c.role, c.node.name.as_str()), (Role::All, "node-7"));
    assert_eq!(c.sources.containers.root, PathBuf::from("/var/log/pods"));
    assert!(c.sources.containers.selects("any", "pod", "c"));
    assert_eq!(c.sources.containers.start, Start::Beginning);
    assert_eq!((c.parse.json, c.output.setup), (Switch::Auto, Switch::Auto));
    assert_eq!((c.output.batch.bytes, c.output.batch.events), (4 << 20, 10_000));
    assert_eq!(c.output.backoff.initial, Duration::from_millis(250));
    assert_eq!(c.limits.memory_bytes, 64 << 20);
    assert_eq!(c.limits.unacked.age, Duration::from_secs(300));
    assert_eq!(c.admin.listen.port(), 9598);
    assert_eq!(c.output.data_stream.namespace.render(&c.cluster, None), "default");
    assert!(matches!(c.output.auth, Auth::None));
    assert_eq!(c.redaction.action("pan"), RuleAction::Mask);
    assert_eq!(c.redaction.action("email"), RuleAction::Drop);
    assert_eq!(c.redaction.action("ip"), RuleAction::Off);
}

#[test]
fn everything_that_is_supported_in_one_file() {
    let text = r#"
role: node
node: {name: n1}
state_dir: /tmp/state
cluster: {name: Prod-EU, environment: Prod}
sources:
  containers:
    root: /tmp/pods
    include: [{namespace: "pay-*"}, {pod: "api-?", container: main}]
    exclude: [{namespace: pay-dev}]
    start: {since: 24h}
    multiline: false
parse: {json: off, formats: false}
datasets: [{namespace: "pay-*", dataset: payments}]
redaction:
  rules: {email: token, phone: off, pan: drop, ip: false}
  pan: last4
  token_key: {id: k1, file: /etc/fintail/token.key}
  token_domain: cluster
  json_numbers: null
output:
  endpoints: ["http://[::1]:9200/prefix"]
  tls: {ca_file: /ca.pem}
  auth: {basic: {username: fintail, password: {file: /secret}}}
  data_stream: {namespace: "{cluster.environment}_{kubernetes.namespace}"}
  setup: off
  compression: none
  batch: {bytes: {env: SIZE}}
  allow_plaintext: true
limits: {memory: 128MiB, spool: 0}
shutdown: {drain: 0s}
admin: {listen: "127.0.0.1:0"}
"#;
    let c = read(text).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(c.role, Role::Node);
    let containers = &c.sources.containers;
    assert!(containers.selects("pay-eu", "x", "y") && containers.selects("shop", "api-1", "main"));
    assert!(!containers.selects("pay-dev", "x", "y") && !containers.selects("shop", "api-10", "main"));
    assert_eq!(containers.start, Start::Since(Duration::from_secs(86_400)));
    assert_eq!(
        (containers.multiline, c.parse.json, c.parse.formats),
        (Multiline::Off, Switch::Off, Switch::Off)
    );
    assert!(c.datasets.iter().any(|d| d.dataset == "payments" && d.matches("pay-eu", "p", "c")));
    assert_eq!(c.redaction.action("email"), RuleAction::Token);
    assert_eq!(c.redaction.action("pan"), RuleAction::Drop);
    assert_eq!(c.redaction.json_numbers, JsonNumbers::Null);
    assert_eq!(c.redaction.token_key.map(|k| k.id), Some("k1".to_owned()));
    assert!(matches!(&c.output.auth, Auth::Basic { username, password }
        if username == "fintail" && password.path() == std::path::Path::new("/secret")));
    assert_eq!(c.output.data_stream.namespace.render(&c.cluster, Some("pay-eu")), "prod_pay_eu");
    assert_eq!((c.output.batch.bytes, c.output.compression), (5 << 20, Compression::None));
    assert_eq!(c.shutdown.drain, Duration::ZERO);
    let c =
        with("kubernetes: {metadata: off}\ndetection: {}\nsources: {kubelet: {journal: {enabled: false}}}")
            .unwrap();
    assert_eq!(c.notes().len(), 2);
    let c = read("output: {endpoints: [https://e], auth: {api_key: {file: /k}}}").unwrap();
    assert!(matches!(c.output.auth, Auth::ApiKey(file) if file.path().ends_with("k")));
}

#[test]
fn errors_as_they_are_printed() {
    let text = r#"limits: {memory: 32MiB, event: 1MB}
sources:
  containers:
    incldue: [{namespace: x}]
    start: yesterday
output:
  endpoint: https://user:hunter2@es:9200
  endpoints: ["https://user:hunter2@es:9200", http://es]
  auth:
    basic: {username: fintail, password: hunter2}
  timeout: 30
  retention: {default: 7d}
"#;
    let expected = "\
error: limits.memory: `32MiB`: not within 40MiB and 1TiB
 --> fintail.yaml:1:18
  |
1 | limits: {memory: 32MiB, event: 1MB}
  |                  ^^^^^

error: limits.event: `1MB`: a size is bytes or has a unit KiB, MiB, GiB, TiB, as 64MiB
 --> fintail.yaml:1:32
  |
1 | limits: {memory: 32MiB, event: 1MB}
  |                                ^^^
  = did you mean `1MiB`?

error: sources.containers.incldue: unknown key
 --> fintail.yaml:4:5
  |
4 |     incldue: [{namespace: ***}]
  |     ^^^^^^^
  = did you mean `include`?

error: sources.containers.start: `yesterday`: not one of beginning, end
 --> fintail.yaml:5:12
  |
5 |     start: yesterday
  |            ^^^^^^^^^

error: output.endpoint: unknown key
 --> fintail.yaml:7:3
  |
7 |   endpoint: ***
  |   ^^^^^^^^
  = did you mean `endpoints`?

error: output.endpoints[0]: user and password belong under output.auth, not into the URL
 --> fintail.yaml:8:15
  |
8 |   endpoints: [***, http://es]
  |               ^^^

error: output.endpoints[1]: http:// would send logs and credentials readable
 --> fintail.yaml:8:47
  |
8 |   endpoints: [***, http://es]
  |                    ^^^^^^^^^
  = use https://, or set output.allow_plaintext: true

error: output.auth.basic.password: a secret is given by file only
  --> fintail.yaml:10:42
   |
10 |     basic: {username: fintail, password: ***}
   |                                          ^^^
   = write {file: /path/of/the/secret}

error: output.timeout: `30`: a time has a unit ms, s, m, h, d, as 30s
  --> fintail.yaml:11:12
   |
11 |   timeout: 30
   |            ^^
   = did you mean `30s`?

error: output.retention: not supported by this version: retention (it belongs to `fintail setup`)
  --> fintail.yaml:12:3
   |
12 |   retention: {default: 7d}
   |   ^^^^^^^^^
";
    let errors = read(text).expect_err("many errors");
    assert_eq!(errors.to_string(), expected);
    let json: serde_json::Value = serde_json::from_str(&errors.to_json()).unwrap();
    let first = json.pointer("/errors/0").unwrap();
    let at = |key: &str| first.get(key).cloned();
    assert_eq!((at("line"), at("column")), (Some(1.into()), Some(18.into())));
    assert_eq!(at("path"), Some("limits.memory".into()));
    assert!(!errors.to_json().contains("hunter2"));
}

#[test]
fn one_error_each() {
    for (text, expected) in [
        ("role: cluster", "role: not supported by this version: AWS sources"),
        ("role: master", "role: `master`: not one of all, node, cluster"),
        ("role: [all]", "role: one value is expected here, not a list"),
        (
            "node: {name: {env: OTHER}}\nstate_dir: {env: UNSET}",
            "state_dir: environment variable UNSET is not set",
        ),
        (
            "limits: {event: {env: BAD}}",
            "limits.event: environment variable BAD: a size is bytes or has a unit KiB, MiB, GiB, TiB, as 64MiB",
        ),
        (
            "limits: {event: {file: /nonexistent}}",
            "limits.event: file /nonexistent: No such file or directory (os error 2)",
        ),
        ("limits: {event: {file: /}}", "limits.event: file /: no regular file"),
        (
            "limits: {event: 8MiB, memory: 40MiB}",
            "limits.event: one event could take more than 4MiB, a quarter of the pool",
        ),
        (
            "limits: {unacked: {bytes: 1MiB}, event: 2MiB}",
            "limits.unacked.bytes: less than one event (limits.event)",
        ),
        ("limits: 64MiB", "limits: a mapping of keys is expected here"),
        ("limits: {memory: 41943039}", "limits.memory: `41943039`: not within 40MiB and 1TiB"),
        ("endpoints: [x]", "endpoints: unknown key"),
        ("\"datasets[]\": {dataset: x}", "datasets[]: unknown key"),
        ("<<: {a: b}", "<<: unknown key"),
        ("role: all\nrole: node", "role: this key stands here twice"),
        (
            "sources: {containers: {include: kube-system}}",
            "sources.containers.include: a list is expected here",
        ),
        ("sources: {containers: {exclude: [{}]}}", "sources.containers.exclude[0]: an empty entry"),
        (
            "sources: {containers: {start: {since: x}}}",
            "sources.containers.start.since: `x`: a time has a unit ms, s, m, h, d, as 30s",
        ),
        ("sources: {containers: {start: {}}}", "sources.containers.start: exactly one of: since"),
        (
            "sources: {containers: {multiline: {start: \"^a\"}}}",
            "sources.containers.multiline.start: not supported by this version: multi-line patterns of your own",
        ),
        (
            "sources: {containers: {multiline: {start: \"(\"}}}",
            "sources.containers.multiline.start: `(`: no regular expression: unclosed group\nsources.containers.multiline.start: not supported by this version: multi-line patterns of your own",
        ),
        (
            "sources: {containers: {docker: true}}",
            "sources.containers.docker: not supported by this version: Docker's json-file logs",
        ),
        ("sources: {containers: {enabled: yes}}", "sources.containers.enabled: `yes`: not true or false"),
        (
            "sources: {kubelet: {journal: {enabled: true}}}",
            "sources.kubelet: not supported by this version: the kubelet's log",
        ),
        ("sources: {cloudtrail: {}}", "sources.cloudtrail: not supported by this version: AWS sources"),
        (
            "kubernetes: {metadata: auto, annotations: {ship: [a]}}",
            "kubernetes.annotations: not supported by this version: pod annotations (they need the Kubernetes API)",
        ),
        (
            "datasets: [{namespace: a, dataset: aws.x}]",
            "datasets[0].dataset: `aws.x`: aws.*, kubernetes.audit*, fintail.* and system.* are written by the agent alone",
        ),
        ("datasets: [{namespace: a}]", "datasets[0].dataset: this key is required"),
        (
            "datasets: [{label: {app: x}, dataset: a}]",
            "datasets[0].label: not supported by this version: datasets by label (they need the Kubernetes API)",
        ),
        ("datasets: [~]", "datasets[0]: an empty entry"),
        (
            "filters: [{drop: {field: a, equals: b}}]",
            "filters: not supported by this version: filters and sampling",
        ),
        ("redaction: {rules: {cvv: mask}}", "redaction.rules.cvv: `cvv` accepts drop only (PCI DSS 3.3.1)"),
        ("redaction: {rules: {pin: off}}", "redaction.rules.pin: `pin` accepts drop only (PCI DSS 3.3.1)"),
        ("redaction: {rules: {pann: drop}}", "redaction.rules.pann: there is no such rule"),
        ("redaction: {rules: {pan: hide}}", "redaction.rules.pan: `hide`: not one of off, mask, token, drop"),
        ("redaction: {rules: {pan: ~}}", "redaction.rules.pan: it has no value"),
        (
            "redaction: {rules: {us_ssn: drop}}",
            "redaction.rules.us_ssn: not supported by this version: rule `us_ssn`",
        ),
        ("redaction: {rules: {email: token}}", "redaction.rules.email: `token` needs a key"),
        (
            "redaction: {token_key: {id: K_1, file: /k}, rules: {email: token}}",
            "redaction.token_key.id: `K_1`: a key id is 1 to 16 of a-z 0-9",
        ),
        ("redaction: {token_key: {id: k1}}", "redaction.token_key.file: this key is required"),
        (
            "redaction: {dry_run: true, allow_unredacted: false}",
            "redaction.dry_run: not supported by this version: a dry run of redaction\nredaction.dry_run: a dry run lets secrets leave the node",
        ),
        (
            "redaction: {overrides: [{namespace: a, rules: {pan: off}}]}",
            "redaction.overrides: not supported by this version: redaction overrides\nredaction.overrides[0].rules.pan: laxer than `mask`, which holds elsewhere",
        ),
        ("admin: {listen: 9598}", "admin.listen: `9598`: not ADDRESS:PORT, as 0.0.0.0:9598 or [::]:9598"),
        ("admin: {socket: /x}", "admin.socket: not supported by this version: the admin socket"),
        ("state_dir: \"\"", "state_dir: ``: it is empty"),
        (
            "setup: {auth: {api_key: hunter2}}",
            "setup.auth.api_key: a secret is given by file only\nsetup: not supported by this version: `fintail setup`",
        ),
    ] {
        let mut found = causes(with(text));
        found.sort();
        let mut expected: Vec<_> = expected.lines().collect();
        expected.sort();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn one_error_each_under_output() {
    for (text, expected) in [
        ("", "output.endpoints: this key is required"),
        ("output:", "output.endpoints: this key is required"),
        ("output: {endpoints: []}", "output.endpoints: the list is empty, at least one entry is needed"),
        ("output: {endpoints: https://es}", "output.endpoints: a list is expected here"),
        (
            "output: {endpoints: [es:9200]}",
            "output.endpoints[0]: `es:9200`: an endpoint is https://HOST:PORT",
        ),
        ("output: {endpoints: [https://es], in_flight: 0}", "output.in_flight: `0`: not within 1 and 64"),
        ("output: {endpoints: [https://es], in_flight: 1.5}", "output.in_flight: `1.5`: not a whole number"),
        (
            "output: {endpoints: [https://es], compression: lz4}",
            "output.compression: `lz4`: not one of auto, zstd, gzip, none",
        ),
        (
            "output: {endpoints: [https://es], compression: off}",
            "output.compression: `off`: not one of auto, zstd, gzip, none",
        ),
        (
            "output: {endpoints: [https://es], auth: {}}",
            "output.auth: exactly one of: basic, api_key, bearer, aws_sigv4",
        ),
        (
            "output: {endpoints: [https://es], auth: {api_key: {file: /a}, basic: {username: a, password: {file: /b}}}}",
            "output.auth: exactly one of: basic, api_key, bearer, aws_sigv4",
        ),
        (
            "output: {endpoints: [https://es], auth: {api_key: {env: KEY}}}",
            "output.auth.api_key: a secret is given by file only",
        ),
        (
            "output: {endpoints: [https://es], auth: {basic: {username: a}}}",
            "output.auth.basic.password: this key is required",
        ),
        (
            "output: {endpoints: [https://es], auth: {bearer: {file: /a}}}",
            "output.auth.bearer: not supported by this version: bearer tokens",
        ),
        (
            "output: {endpoints: [https://es], tls: {cert_file: /a}}",
            "output.tls.cert_file: not supported by this version: client certificates",
        ),
        (
            "output: {endpoints: [https://es], data_stream: {namespace: \"{pod}\"}}",
            "output.data_stream.namespace: `{pod}`: placeholders are {cluster.name}, {cluster.environment}, {kubernetes.namespace}",
        ),
        (
            "output: {endpoints: [https://es], data_stream: {type: logs-x}}",
            "output.data_stream.type: `logs-x`: a part of a stream name is lower case, without - \\ / * ? \" < > | , # : } or blanks",
        ),
        (
            "output: {endpoints: [https://es], backoff: {initial: 1m}}",
            "output.backoff.initial: longer than output.backoff.max",
        ),
        (
            "output: {endpoints: [https://es], batch: {bytes: 64MiB}}",
            "output.batch.bytes: one request could take more than 20MiB, half of the pool",
        ),
        (
            "output: {endpoints: [https://es], priority: [a]}",
            "output.priority: not supported by this version: priorities (they need the spool)",
        ),
        (
            "output: {endpoints: [http://es]}",
            "output.endpoints[0]: http:// would send logs and credentials readable",
        ),
    ] {
        assert_eq!(causes(read(text)), [expected], "{text}");
    }
}

#[test]
fn no_secret_in_any_error() {
    for text in [
        "output: {auth: hunter2}",
        "output: {auth: {basic: hunter2}}",
        "output: {auth: {basic: [hunter2]}}",
        "output: {auth: {basic: {username: u, passwort: hunter2}}}",
        "output: {auth: {basic: {username: {password: hunter2}, password: |\n  hunter2\n  hunter2\n}}}",
        "output:\n  auth:\n    api_key: |\n      hunter2\n      hunter2\n",
        "output:\n  auth:\n    api_key: \"hunter2\n  timeout: 1\n",
        "output:\n  auth:\n    api_key: *hunter2\n",
        "output:\n  auth:\n    api_key: !hunter2 x\n",
        "output:\n  auth: {api_key: {file: [hunter2]}}",
        "output: {endpoints: {a: \"https://u:hunter2@es\"}}",
        "output: {endpoints: \"https://u:hunter2@es\"}",
        "output: {endpoints: [\"https://u:hunter2@es:99999\"]}",
        "output: {timeout: {env: BAD}}",
        "outptu: {auth: {api_key: hunter2}}",
    ] {
        let errors = read(text).expect_err(text);
        assert!(!errors.to_string().contains("hunter2"), "{errors}");
        assert!(!errors.to_json().contains("hunter2"), "{errors}");
        assert!(!format!("{errors:?}").contains("hunter2"), "{errors}");
    }
}

#[test]
fn syntax_errors_have_a_place() {
    let errors = read("role: all\nsources: [a\nb: c\n").expect_err("unclosed");
    let error = errors.errors.first().unwrap();
    assert!(error.line >= 2 && error.column >= 1 && error.cause.len() > "YAML: ".len(), "{errors}");
}

#[test]
fn values_from_files_and_the_host_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("name");
    std::fs::write(&file, "prod-eu\n").unwrap();
    let c = with(&format!("cluster: {{name: {{file: {}}}}}", file.display())).unwrap();
    assert_eq!(c.cluster.name.as_deref(), Some("prod-eu"));
    let c = parse_with("output: {endpoints: [https://es]}", "x", &|_| None).unwrap();
    assert!(!c.node.name.is_empty() && c.node.name != "node-7");
}

#[test]
fn files_that_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("fintail.yaml");
    let cause = || causes(load(&file)).concat();
    assert!(cause().starts_with(": cannot read the file: "), "{}", cause());
    std::fs::write(&file, b"a: 1\nb: \xff\n").unwrap();
    let errors = load(&file).expect_err("no UTF-8");
    assert!(errors.errors.iter().all(|e| (e.line, e.column) == (2, 4)), "{errors}");
    std::fs::write(&file, "#".repeat(limits::CONFIG_MAX_BYTES + 1)).unwrap();
    assert_eq!(cause(), ": longer than 1048576 bytes");
    std::fs::write(&file, "output: {endpoints: [https://es]}").unwrap();
    assert!(load(&file).is_ok());
}

#[test]
fn endpoints_alone() {
    assert!(Config::with_endpoints(["http://127.0.0.1:1"]).unwrap().output.allow_plaintext);
    assert!(!Config::with_endpoints(["https://127.0.0.1:1"]).unwrap().output.allow_plaintext);
    assert!(Config::with_endpoints(["x: y\""]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Cuts, swaps and insertions in the contract's text: never a panic, and errors lie within the text.
    #[test]
    fn mutations(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, "[\\-\\[\\]{}:,&*!|>'\"#%@ \n\tа0a~]{0,4}"), 1..6)
    ) {
        let mut text: Vec<char> = CONTRACT_WITH_EXAMPLES.chars().collect();
        for (at, cut, put) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + cut).min(text.len());
            text.splice(at..end, put.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(errors) = read(&text) {
            prop_assert!(!errors.errors.is_empty());
            let lines = text.matches('\n').count() + 1;
            for error in &errors.errors {
                prop_assert!((1..=lines).contains(&error.line) && error.column >= 1, "{errors}");
            }
        }
    }

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        if let Err(errors) = read(&text) {
            prop_assert!(!errors.to_string().is_empty());
        }
    }
}
