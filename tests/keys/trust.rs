//! octo-keys trust and distrust: the trust file as its sysadmin edits it.

use crate::support::{NOBODY, Sandbox, is_root, mode_of, set_mode};
use crate::{own_user, print, sandbox, scrubbed};
use predicates::prelude::*;
use predicates::str::{contains, is_empty};
use std::process::Stdio;

fn trusted(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.config("trusted")).unwrap()
}

fn colons(plain: &str) -> String {
    let capitals = plain.to_uppercase();
    let pairs: Vec<&str> = (0..32).map(|i| &capitals[2 * i..2 * i + 2]).collect();
    pairs.join(":")
}

#[test]
fn the_thumbprints_that_people_paste() {
    let plain = print("a");
    for text in [
        plain.clone(),
        plain.to_uppercase(),
        colons(&plain),
        format!("SHA256:{plain}"),
        format!("sha256 Fingerprint={}", colons(&plain)),
        format!("SHA256 Fingerprint={}", colons(&plain)),
        format!("{}\r", colons(&plain)),
        format!(" {plain}\n"),
    ] {
        let sandbox = sandbox();
        let mut command = sandbox.tool("octo-keys");
        command
            .args(["trust", "-o", "allow=put", &text, "ci"])
            .assert()
            .success()
            .stdout(is_empty())
            .stderr(is_empty());
        assert_eq!(trusted(&sandbox), format!("{plain} ci allow=put\n"), "{text}");
        sandbox.tool("octo-keys").args(["distrust", &text]).assert().success().stderr(is_empty());
        assert_eq!(trusted(&sandbox), "");
    }
    for (text, said) in [
        (format!("\u{200e}{plain}"), "an invisible character (U+200E) is in it"),
        (format!("{plain}\u{feff}"), "U+FEFF"),
        (plain[..40].to_string(), "40 hex digits are a SHA-1"),
        (plain[..32].to_string(), "32 hex digits are an MD5"),
        (plain[..63].to_string(), "this has 63"),
        (format!("{plain}0"), "this has 65"),
        (format!("{}\u{1b}", &plain[..63]), "'\\x1b' is not a hex digit"),
        (format!("0x{plain}"), "'x' is not a hex digit"),
        (
            plain.replacen(&plain[..2], &format!("{}:", &plain[..2]), 1),
            "colons don't stand between bytes",
        ),
        (String::new(), "this has 0"),
    ] {
        let sandbox = sandbox();
        let mut command = sandbox.tool("octo-keys");
        command
            .args(["trust", &text, "ci"])
            .assert()
            .code(64)
            .stdout(is_empty())
            .stderr(contains(said));
        assert!(!sandbox.config("trusted").exists());
    }
}

#[test]
fn lines_are_added_and_removed() {
    let sandbox = sandbox();
    let add = |options: &str, who: &str, name: &str| {
        let mut command = sandbox.tool("octo-keys");
        command.args(["trust", "-o", options, &print(who), name]).assert()
    };
    add("from=10.0.0.0/8 allow=put max-size=1M", "a", "ci").success().stderr(is_empty());
    assert_eq!(
        (mode_of(&sandbox.config("trusted")), mode_of(&sandbox.path("config"))),
        (0o644, 0o755)
    );
    let commented =
        format!("# who may push\n\n{}# the last line, without its end", trusted(&sandbox));
    sandbox.write("config/trusted", &commented);
    // The same key from elsewhere: the older line comes first, and that is said.
    add("allow=put", "a", "ci")
        .success()
        .stderr(contains("line 3 of this thumbprint decides while its conditions hold"));
    let mut two = sandbox.tool("octo-keys");
    let window = "window=\"Mon-Fri 22:00-05:00\"";
    two.args(["trust", "-o", "allow=put", "-o", window, &print("b"), "ci"]).assert().success();
    let before = trusted(&sandbox);
    assert_eq!(
        before,
        format!("{commented}\n{} ci allow=put\n{} ci allow=put {window}\n", print("a"), print("b"))
    );

    add("expires=2090-01-01", "a", "ci2").code(65).stderr(
        contains("not added, as it never decides: line 5 holds whenever it does")
            .and(contains(format!("hint: line 5: {} ci allow=put", print("a"))))
            .and(contains("hint: octo-keys distrust")),
    );
    assert_eq!(trusted(&sandbox), before);

    sandbox.tool("octo-keys").args(["distrust", &print("b")]).assert().success().stdout(is_empty());
    assert_eq!(trusted(&sandbox), format!("{commented}\n{} ci allow=put\n", print("a")));
    sandbox.tool("octo-keys").args(["distrust", "ci"]).assert().success();
    assert_eq!(trusted(&sandbox), "# who may push\n\n# the last line, without its end\n");
    for whose in ["ci", &print("a")] {
        let said = contains(format!("config/trusted: no line of {whose}"));
        sandbox.tool("octo-keys").args(["distrust", whose]).assert().code(65).stderr(said);
    }
}

/// What a rotation asks for, whoever pasted the old line, and in which form.
#[test]
fn a_new_key_takes_the_place_of_an_old_one() {
    let sandbox = sandbox();
    let (old, new) = (print("a"), print("b"));
    let own = own_user();
    let options = format!("user={own} set=\"GREETING=two  words\" window=\"Mon-Fri 22:00-05:00\"");
    let pasted = format!("SHA256 Fingerprint={}", colons(&old));
    let before = format!("{pasted} ci from=10.0.0.0/8 user={own}\n{pasted} ci {options}\n");
    sandbox.write("config/trusted", &before);
    let keys = |words: &[&str]| {
        let mut command = sandbox.tool("octo-keys");
        command.args(words).assert()
    };
    keys(&["distrust", "--replaced-by", &new, &old]).code(65).stderr(
        contains(format!("config/trusted: no line of {new}"))
            .and(contains(format!("hint: {old} stays trusted"))),
    );
    assert_eq!(trusted(&sandbox), before);
    let after = format!("{new} ci from=10.0.0.0/8 user={own}\n{new} ci {options}\n");
    let warning = format!(
        "octo-keys: warning: jobs run as {own} itself, and can rewrite the record and this file\n"
    );
    let warned = if own == "root" { String::new() } else { warning.repeat(2) };
    // Asked for again, it adds nothing.
    for said in [warned, String::new()] {
        keys(&["trust", "--like", &pasted, &new]).success().stderr(said);
        assert_eq!(trusted(&sandbox), format!("{before}{after}"));
    }
    for _ in 0..2 {
        keys(&["distrust", "--replaced-by", &colons(&new), &pasted]).success().stderr(is_empty());
        assert_eq!(trusted(&sandbox), after);
    }
    keys(&["trust", "--like", &old, &new]).code(65).stderr(contains(format!("no line of {old}")));
    for (words, said) in [
        (&["trust", "--like", &old, &new, "ci"][..], "ci: one argument too many"),
        (&["trust", "--like", &old, "-o", "sudo", &new], "--like and --options"),
        (&["trust", "--like", "ci", &new], "is not a hex digit"),
        (&["trust", &new], "an argument is missing"),
        (&["distrust", "--replaced-by", &new, "ci"], "is not a hex digit"),
        (&["distrust", "--replaced-by", &new, &new], "can't replace itself"),
    ] {
        keys(words).code(64).stderr(contains(said));
    }
    assert_eq!(trusted(&sandbox), after);
}

#[test]
fn distrust_without_a_file() {
    let sandbox = sandbox();
    let mut command = sandbox.tool("octo-keys");
    command
        .args(["distrust", "ci"])
        .assert()
        .code(65)
        .stderr(contains("config/trusted: there is no such file"));
}

#[test]
fn an_unsound_file_is_not_added_to_but_still_revokes() {
    let sandbox = sandbox();
    let text = format!("{} ci sudo\n{} old oops\n", print("a"), print("b"));
    sandbox.write("config/trusted", &text);
    let mut command = sandbox.tool("octo-keys");
    command.args(["trust", &print("c"), "new"]).assert().code(78).stderr(
        contains("config/trusted:2: unknown option 'oops'")
            .and(contains(format!("hint: line 2: {} old oops", print("b")))),
    );
    assert_eq!(trusted(&sandbox), text);
    let mut command = sandbox.tool("octo-keys");
    command.args(["distrust", "ci"]).assert().code(78).stderr(
        contains("config/trusted:1: unknown option 'oops'")
            .and(contains("the lines are removed, but nobody is let in")),
    );
    assert_eq!(trusted(&sandbox), format!("{} old oops\n", print("b")));
    // The line that is wrong can be removed by its name, too.
    sandbox.tool("octo-keys").args(["distrust", "old"]).assert().success();
    assert_eq!(trusted(&sandbox), "");

    set_mode(&sandbox.config("trusted"), 0o666);
    let mut command = sandbox.tool("octo-keys");
    command.args(["trust", &print("c"), "new"]).assert().code(78).stderr(
        contains("config/trusted: is writable by others (mode 0666)").and(contains("chmod go-w")),
    );
}

/// One byte more than may be there would shut out all that are in it.
#[test]
fn no_line_is_added_that_makes_the_file_too_large() {
    let sandbox = sandbox();
    let (first, second) = ("a".repeat(64), "b".repeat(64));
    sandbox.tool("octo-keys").args(["trust", &first, "one"]).assert().success();
    let line = format!("{second} two\n");
    let filled = |left: usize| {
        let lines = trusted(&sandbox).lines().next().expect("a line").to_string() + "\n";
        let rest = octo_core::trust::LARGEST as usize - lines.len() - left;
        let comment = format!("#{}\n", "x".repeat(1000)).repeat(rest / 1002);
        let text = format!("{lines}{comment}#{}\n", "x".repeat(rest % 1002 - 2));
        sandbox.write("config/trusted", &text);
        text
    };
    let text = filled(line.len() - 1);
    for like in [&["two"][..], &["--like", &first]] {
        let mut trust = sandbox.tool("octo-keys");
        let refused = trust.args(["trust", &second]).args(like).assert().code(78);
        refused.stderr(contains("not added: the file would be larger than 1048576 bytes"));
        assert_eq!(trusted(&sandbox), text);
    }
    filled(line.len());
    sandbox.tool("octo-keys").args(["trust", &second, "two"]).assert().success();
    sandbox.tool("octo-keys").arg("check").assert().success();
}

#[test]
fn edits_at_once_lose_nothing() {
    let sandbox = sandbox();
    let start = |index: usize| {
        let mut command = scrubbed(&sandbox, sandbox.program("octo-keys"));
        command.arg("--config").arg(sandbox.path("config"));
        command.args([
            "trust",
            "-o",
            "user=root",
            &print(&format!("{index}")),
            &format!("p{index}"),
        ]);
        command.stderr(Stdio::null()).spawn().unwrap()
    };
    let children: Vec<_> = (0..24).map(start).collect();
    assert!(children.into_iter().all(|mut child| child.wait().unwrap().success()));
    assert_eq!(trusted(&sandbox).lines().count(), 24);
    let start = |index: usize| {
        let mut command = scrubbed(&sandbox, sandbox.program("octo-keys"));
        command
            .arg("--config")
            .arg(sandbox.path("config"))
            .args(["distrust", &format!("p{index}")]);
        command.stderr(Stdio::null()).spawn().unwrap()
    };
    let children: Vec<_> = (0..12).map(start).collect();
    assert!(children.into_iter().all(|mut child| child.wait().unwrap().success()));
    assert_eq!(trusted(&sandbox).lines().count(), 12);
}

#[test]
fn killed_at_any_moment_the_file_is_the_old_or_the_new() {
    let sandbox = sandbox();
    let mut random = crate::support::random::Random(3);
    let old = format!("# kept\n{} ci user=root\n", print("a"));
    let new = format!("{old}{} new user=root\n", print("b"));
    for _ in 0..60 {
        sandbox.write("config/trusted", &old);
        let mut child = scrubbed(&sandbox, sandbox.program("octo-keys"))
            .arg("--config")
            .arg(sandbox.path("config"))
            .args(["trust", "-o", "user=root", &print("b"), "new"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_micros(random.below(8000) as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        let now = trusted(&sandbox);
        assert!(now == old || now == new, "{now}");
    }
    // A lock that a killed edit held is free again.
    sandbox
        .tool("octo-keys")
        .args(["trust", "-o", "user=root", &print("c"), "last"])
        .assert()
        .success();
}

/// A disk that fails under an edit: the old file stays, and the error says so.
#[test]
fn a_disk_that_fails_leaves_the_old_file() {
    if !crate::support::can_trace("a_disk_that_fails_leaves_the_old_file") {
        return;
    }
    let sandbox = sandbox();
    let old = format!("{} ci user=root\n", print("a"));
    let path = sandbox.write("config/trusted", &old);
    for (injected, said, published) in [
        ("fsync:error=EIO:when=1", "input/output error", false),
        ("fsync:error=EIO:when=2", "input/output error", true),
        ("rename,renameat,renameat2:error=ENOSPC", "no space left on device", false),
        ("write:error=ENOSPC:when=1", "no space left on device", false),
        ("write:error=EDQUOT:when=1", "quota", false),
    ] {
        std::fs::write(&path, &old).unwrap();
        let output = scrubbed(&sandbox, "strace")
            .args(["-qq", "-o", "/dev/null", "-e", &format!("inject={injected}")])
            .arg(sandbox.program("octo-keys"))
            .arg("--config")
            .arg(sandbox.path("config"))
            .args(["trust", "-o", "user=root", &print("b"), "new"])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(74), "{injected}: {error}");
        assert!(error.contains(said), "{injected}: {error}");
        // Where only the directory's fsync failed, the file is there, but not promised.
        assert_eq!(trusted(&sandbox) != old, published, "{injected}");
    }
}

#[test]
fn root_edits_for_a_service_that_can_still_read() {
    use std::os::unix::fs::{MetadataExt, chown};
    if !is_root("root_edits_for_a_service_that_can_still_read") {
        return;
    }
    let sandbox = sandbox();
    let path = sandbox.write("config/trusted", "");
    for target in [&path, &sandbox.path("config")] {
        chown(target, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    set_mode(&path, 0o600);
    // Root doesn't take another user's file for its own.
    let mut command = sandbox.tool("octo-keys");
    command
        .args(["trust", &print("a"), "ci"])
        .assert()
        .code(78)
        .stderr(contains("is owned by uid 65534"));
    let mut command = sandbox.tool_as(NOBODY, "octo-keys");
    command.args(["trust", &print("a"), "ci"]).assert().success();
    let metadata = path.metadata().unwrap();
    assert_eq!((metadata.uid(), metadata.gid(), mode_of(&path)), (NOBODY, NOBODY, 0o600));
    // A file of root that another group reads stays readable by it.
    for target in [&path, &sandbox.path("config"), &sandbox.config(".trusted.lock")] {
        chown(target, Some(0), Some(NOBODY)).unwrap();
    }
    set_mode(&path, 0o640);
    sandbox
        .tool("octo-keys")
        .args(["trust", "-o", "user=root", &print("b"), "cd"])
        .assert()
        .success();
    let metadata = path.metadata().unwrap();
    assert_eq!((metadata.uid(), metadata.gid(), mode_of(&path)), (0, NOBODY, 0o640));
}

/// Each run would be refused, and the first would tell.
#[test]
fn a_user_that_is_not_there_is_told_of() {
    let sandbox = sandbox();
    let mut command = sandbox.tool("octo-keys");
    command
        .args(["trust", "-o", "user=nosuchuser", &print("a"), "ci"])
        .assert()
        .success()
        .stdout(is_empty())
        .stderr(contains(
            "octo-keys: warning: there is no user nosuchuser on this machine: \
             useradd --system --create-home nosuchuser\n",
        ));
    // Older lines are for check to say.
    let mut command = sandbox.tool("octo-keys");
    command
        .args(["trust", "-o", "allow=status", &print("b"), "monitor"])
        .assert()
        .success()
        .stderr(contains("nosuchuser").not());
}
