//! `releases` against real tentacles: what it says of them, and with which exit status.

use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;

/// As octo-release leaves an application: `release BASE/APP VERSION RESULT LAST-WHAT LAST-RESULT`.
const RELEASE: &str = r#"
release() {
  mkdir -p "$1/meta" "$1/releases/$2"
  ln -sfn "releases/$2" "$1/current"
  echo line >>"$1/journal"
  printf '%s\n' 'octo-release 1' "application ${1##*/}" "journal $(wc -c <"$1/journal")" \
    "version $2" "release $2" 'number 3' "sha256 $(printf %064d "${2%.*}")" \
    'since 2026-01-02T03:04:05Z' 'by ann' "result $3" "last-what $4" 'last-version 9' \
    "last-result $5" 'back-version 0.9' 'back-names A B' >"$1/meta/now"
  echo "releases=$1" >>"$OCTO_OUTPUT"
}
"#;

/// Has a job leave an application on this target.
fn release(octopus: &Octopus, target: &Tentacle, words: &str) {
    let base = octopus.sandbox.path(&target.name).join("srv");
    let script = format!("{RELEASE}\nrelease {}/{words}", base.display());
    octopus.push(&["-t", &target.name, "run", "-c", &script]).assert().success();
}

/// The fields of each line of `--tsv`.
fn fields(octopus: &Octopus, code: i32, arguments: &[&str]) -> Vec<Vec<String>> {
    let output = octopus.push(&[&["-q", "releases", "--tsv"], arguments].concat());
    let output = { output }.assert().code(code).get_output().stdout.clone();
    let text = String::from_utf8(output).expect("text");
    text.lines().map(|line| line.split('\t').map(String::from).collect()).collect()
}

#[test]
fn every_target_has_its_line_in_the_order_of_the_selection() {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let web2 = octopus.tentacle("web2", "web");
    let mut away = octopus.tentacle("away", "web");
    let web1 = octopus.tentacle("web1", "web");
    let stranger = octopus.tentacle("stranger", "web");
    let closed = octopus.tentacle("closed", "web");
    release(&octopus, &web1, "shop 2.0 succeeded deploy failed");
    release(&octopus, &web1, "api 1.0 succeeded deploy succeeded");
    release(&octopus, &web2, "shop 1.0 succeeded rollback succeeded");
    away.kill();
    stranger.set_trusted("");
    closed.set_trusted(&format!("{} octopus allow=put\n", octopus.thumbprint));
    let lines = fields(&octopus, 1, &["-a", "shop"]);
    let states: Vec<[&str; 4]> = lines
        .iter()
        .map(|line| [&line[0], &line[1], &line[2], &line[3]].map(|s| s.as_str()))
        .collect();
    assert_eq!(
        states,
        [
            ["web2", "answered", "shop", "1.0#3"],
            ["away", "unreachable", "-", "-"],
            ["web1", "answered", "shop", "2.0#3"],
            ["stranger", "refused", "-", "-"],
            ["closed", "refused", "-", "-"],
        ]
    );
    assert!(lines.iter().all(|line| line.len() == 26), "{lines:?}");
    assert_eq!(lines[2][9..15], ["9", "failed", "deploy", "0.9", "-", "A,B"]);
    assert!(lines[0][20].starts_with("put,run"), "{lines:?}");
    assert!(lines[1][23].contains("refused") && lines[4][23].starts_with("denied: "), "{lines:?}");
    // Each alone has its exit status; nothing of the kind is 0.
    assert_eq!(fields(&octopus, 69, &["-t", "away"])[0][1], "unreachable");
    assert_eq!(fields(&octopus, 77, &["-t", "closed"])[0][1], "refused");
    assert_eq!(fields(&octopus, 0, &["-t", "web2", "api"])[0][1], "empty");
    assert_eq!(fields(&octopus, 0, &["-t", "web1"]).len(), 2);
    for line in ["releases ../shop", "releases --tsv --json", "--tsv releases"] {
        octopus
            .push(&[&["-a"], &line.split(' ').collect::<Vec<_>>()[..]].concat())
            .assert()
            .code(64);
    }
}
