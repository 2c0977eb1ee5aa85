//! Packages, trust, identities, releases.

use crate::promises::Left;
use crate::recording::{Mode, Sides, at_each};
use octo_core::Thumbprint;
use octo_core::trust::Trust;

fn put(test: &str, mode: Mode) {
    let Some(sides) = Sides::new(test, mode, "") else { return };
    let package: Vec<u8> = (0..30_000_u32).flat_map(|n| n.to_le_bytes()).collect();
    sides.sandbox.write("out/package", &package);
    let mut recording = sides.record("listen; push put out/package; leave");
    at_each(recording.cuts("tent"), |cut| {
        let left = Left::build(&sides.sandbox, cut);
        left.come_up();
        left.check(&[]);
        left.check_packages(&package);
    });
}

#[test]
fn a_put_of_one_user_stays_promised() {
    put("a_put_of_one_user_stays_promised", Mode::One);
}

#[test]
fn a_put_of_two_users_stays_promised() {
    put("a_put_of_two_users_stays_promised", Mode::Two);
}

#[test]
fn a_trust_file_is_the_old_or_the_new_one() {
    let test = "a_trust_file_is_the_old_or_the_new_one";
    let Some(sides) = Sides::new(test, Mode::One, "") else { return };
    let other = Thumbprint::of_certificate(b"other");
    let mut recording = sides
        .record(&format!("tentacle octo-keys trust -o 'allow=status user=nobody' {other} other"));
    at_each(recording.cuts("tent"), |cut| {
        let left = Left::build(&sides.sandbox, cut);
        let trust = Trust::load(&left.places.trusted());
        let trust = trust.unwrap_or_else(|error| panic!("{}: {error}", cut.at));
        let is_new = trust.of(other).count() == 1;
        assert!(is_new || !left.is_told(&["\"trust\""]), "{}", cut.at);
        assert_eq!(trust.lines.len(), 1 + usize::from(is_new), "{}", cut.at);
    });
}

/// Whose certificate octo-keys finds there.
fn shown(left: &Left<'_>, file: &std::path::Path) -> Option<String> {
    let output = left.tool("octo-keys").arg("show").arg(file).output().expect("octo-keys");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let found = text.split_ascii_whitespace().find(|word| word.len() == 64);
    found.filter(|_| output.status.success()).map(str::to_string)
}

#[test]
fn a_renewed_identity_is_whole_and_known() {
    let test = "a_renewed_identity_is_whole_and_known";
    let Some(sides) = Sides::new(test, Mode::One, "") else { return };
    let mut recording = sides.record("tentacle octo-keys renew");
    at_each(recording.cuts("tent"), |cut| {
        let left = Left::build(&sides.sandbox, cut);
        let identity = shown(&left, &left.places.config.join("identity.pem"));
        let identity = identity.unwrap_or_else(|| panic!("{}: no identity", cut.at));
        let known = std::fs::read_to_string(left.places.config.join("tentacle")).expect("read");
        assert!(known.contains(&identity), "{}: {identity}: {known}", cut.at);
        assert!(known.ends_with('\n') && known.len() >= 65, "{}: {known}", cut.at);
    });
}

#[test]
fn an_octopus_that_rotates_has_a_key_that_is_trusted() {
    let test = "an_octopus_that_rotates_has_a_key_that_is_trusted";
    let Some(sides) = Sides::new(test, Mode::One, "") else { return };
    let mut recording = sides
        .record("listen; pipeline octo-rotate -a --octo-keys \"$(command -v octo-keys)\"; leave");
    at_each(recording.cuts(""), |cut| {
        let left = Left::build(&sides.sandbox, cut);
        let trust = Trust::load(&left.places.trusted());
        let trust = trust.unwrap_or_else(|error| panic!("{}: {error}", cut.at));
        let octopus = left.places.config.parent().expect("tent").with_file_name("push/config");
        let files = ["identity.pem", "identity.new.pem", "identity.old.pem"];
        let keys = files.iter().filter_map(|file| shown(&left, &octopus.join(file)));
        let keys = keys.map(|key| Thumbprint::parse(&key).expect("a thumbprint"));
        assert!(keys.into_iter().any(|key| trust.of(key).count() == 1), "{}", cut.at);
    });
}

#[test]
fn what_is_current_is_a_whole_release() {
    let test = "what_is_current_is_a_whole_release";
    let Some(sides) = Sides::new(test, Mode::One, "") else { return };
    for version in ["1.0", "1.1"] {
        sides.sandbox.write(&format!("out/{version}/file"), version);
        sides.sandbox.write(&format!("out/{version}/below/other"), version);
    }
    let mut recording = sides.record(
        "mkdir tent/srv
        for version in 1.0 1.1; do tar -cf out/shop-$version.tar -C out/$version .; done
        deploy() { push run -p out/shop-$1.tar \"$(command -v octo-release)\" -b $PWD/tent/srv deploy; }
        listen; deploy 1.0; deploy 1.1; leave",
    );
    at_each(recording.cuts("tent"), |cut| {
        let left = Left::build(&sides.sandbox, cut);
        left.come_up();
        left.check(&[]);
        let current = left.places.config.with_file_name("srv/shop/current");
        let read = |file: &str| std::fs::read_to_string(current.join(file)).ok();
        let found = read("file");
        assert_eq!(found, read("below/other"), "{}", cut.at);
        assert!(!current.is_symlink() || found.is_some(), "{}: current leads nowhere", cut.at);
        for version in ["1.0", "1.1"] {
            let is_told = left.is_told(&["octo-push", &format!("shop-{version}.tar")]);
            let newer = found.as_deref() >= Some(version);
            assert!(!is_told || newer, "{}: {found:?}, not {version}", cut.at);
        }
    });
}
