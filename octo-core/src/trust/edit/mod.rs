//! Adding lines to a trust file and removing them.
//!
//! Comments and the order stay. The file that results is parsed before it
//! replaces the old one, under a lock, so that two edits don't lose one
//! another's line; owner and mode stay as they are.

mod add;
mod locked;
mod remove;

pub use add::{Added, add_like, add_line};
pub use remove::{Removed, Whose, remove_lines, remove_replaced};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Exit;
    use crate::base::names::PusherName;
    use crate::base::thumbprint::Thumbprint;
    use crate::trust::Trust;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    fn print(seed: &str) -> Thumbprint {
        Thumbprint::of_certificate(seed.as_bytes())
    }

    fn name(text: &str) -> PusherName {
        PusherName::parse(text).expect("a name")
    }

    #[test]
    fn lines_come_and_go_and_comments_stay() {
        let top = tempfile::tempdir().expect("tempdir");
        let path = top.path().join("etc/trusted");
        let added =
            add_line(&path, print("a"), &name("ci"), "from=10.0.0.0/8 sudo").expect("added");
        assert_eq!(added.number, 1);
        let mode = |path: &Path| path.metadata().expect("stat").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().expect("parent"))), (0o644, 0o755));
        let text = format!(
            "# kept\n{}\r\n\n# the end, unfinished",
            std::fs::read_to_string(&path).expect("read").trim_end()
        );
        std::fs::write(&path, text).expect("write");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        let added = add_line(&path, print("a"), &name("ci2"), "").expect("added");
        assert_eq!(added.number, 5);
        add_line(&path, print("b"), &name("ci"), " hold ").expect("added");
        assert_eq!(mode(&path), 0o600);
        let before = std::fs::read_to_string(&path).expect("read");
        let (a, b) = (print("a"), print("b"));
        assert_eq!(
            before,
            format!(
                "# kept\n{a} ci from=10.0.0.0/8 sudo\r\n\n# the end, unfinished\n{a} ci2\n{b} ci hold\n"
            )
        );

        for (thumbprint, options, said) in [
            ("a", "expires=2027-01-01", (Exit::Data, "line 5 holds whenever")),
            ("c", "shell=sh", (Exit::Usage, "unknown option")),
            ("c", "sudo\nx", (Exit::Usage, "line break")),
            ("c", "user=\"x", (Exit::Usage, "not closed")),
        ] {
            let error =
                add_line(&path, print(thumbprint), &name("new"), options).expect_err(options);
            assert_eq!(error.exit, said.0);
            assert!(error.message.contains(said.1), "{error}");
            assert_eq!(std::fs::read_to_string(&path).expect("read"), before);
        }

        let removed = remove_lines(&path, &Whose::Name(name("ci"))).expect("removed");
        assert_eq!(removed.lines.iter().map(|l| l.0).collect::<Vec<_>>(), [2, 6]);
        assert_eq!(removed.problems, []);
        let after = std::fs::read_to_string(&path).expect("read");
        assert_eq!(after, format!("# kept\n\n# the end, unfinished\n{a} ci2\n"));
        assert_eq!(
            remove_lines(&path, &Whose::Name(name("ci"))).expect_err("none").exit,
            Exit::Data
        );
        remove_lines(&path, &Whose::Thumbprint(print("a"))).expect("removed");
        assert_eq!(Trust::load(&path).expect("sound").lines.len(), 0);
    }

    #[test]
    fn an_unsound_file_takes_no_line_but_gives_one_up() {
        let top = tempfile::tempdir().expect("tempdir");
        let path = top.path().join("trusted");
        let text = format!("{} ci\n{} ci oops\nx y\n# {} ci\n", print("a"), print("a"), print("a"));
        std::fs::write(&path, &text).expect("write");
        let error = add_line(&path, print("b"), &name("new"), "").expect_err("unsound");
        assert_eq!(error.exit, Exit::Configuration);
        assert!(error.message.contains("trusted:2: unknown option 'oops'"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), text);
        let removed = remove_lines(&path, &Whose::Thumbprint(print("a"))).expect("removed");
        assert_eq!((removed.lines.len(), removed.problems.len()), (2, 1));
    }

    #[test]
    fn faulty_lines_go_by_key_and_by_name() {
        let hex = print("a").to_string();
        let top = tempfile::tempdir().expect("tempdir");
        let path = top.path().join("trusted");
        let other = print("b");
        // A damaged digit hides the key, not the name; the CR of old line ends is one.
        let text = format!(
            "\u{feff}{hex} ci\r\n{other} bob\n{}0 ci\n{hex} é\r{other} eve\r{hex} ci oops\n",
            &hex[..62]
        );
        std::fs::write(&path, &text).expect("write");
        let removed = remove_lines(&path, &Whose::Thumbprint(print("a"))).expect("removed");
        assert_eq!(removed.lines.iter().map(|l| l.0).collect::<Vec<_>>(), [1, 4, 4]);
        assert_eq!(remove_lines(&path, &Whose::Name(name("ci"))).expect("removed").lines.len(), 1);
        let left = std::fs::read_to_string(&path).expect("read");
        assert_eq!(left, format!("{other} bob\n{other} eve\r"));
        assert_eq!(
            remove_lines(&path, &Whose::Name(name("ci"))).expect_err("none").exit,
            Exit::Data
        );
    }

    #[test]
    fn edits_at_once_lose_nothing() {
        let top = tempfile::tempdir().expect("tempdir");
        let path = top.path().join("trusted");
        std::thread::scope(|scope| {
            for worker in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    for turn in 0..5 {
                        let who = format!("p{worker}-{turn}");
                        add_line(path, print(&who), &name(&who), "").expect("added");
                    }
                });
            }
        });
        assert_eq!(Trust::load(&path).expect("sound").lines.len(), 40);
    }

    #[test]
    fn a_link_stays_a_link() {
        let top = tempfile::tempdir().expect("tempdir");
        let real = top.path().join("real");
        std::fs::create_dir(&real).expect("mkdir");
        std::fs::write(real.join("trusted"), "").expect("write");
        let link = top.path().join("trusted");
        std::os::unix::fs::symlink("real/trusted", &link).expect("symlink");
        add_line(&link, print("a"), &name("ci"), "").expect("added");
        assert!(link.is_symlink());
        assert_eq!(Trust::load(&link).expect("sound").lines.len(), 1);
        std::fs::remove_file(real.join("trusted")).expect("unlink");
        assert_eq!(
            add_line(&link, print("b"), &name("b"), "").expect_err("dangles").exit,
            Exit::Data
        );
    }

    /// As openssl prints it.
    fn pasted(thumbprint: Thumbprint) -> String {
        let hex = thumbprint.to_string().to_uppercase();
        let pairs: Vec<&str> = (0..32).map(|i| &hex[2 * i..2 * i + 2]).collect();
        format!("SHA256 Fingerprint={}", pairs.join(":"))
    }

    #[test]
    fn likes_are_added_once_in_their_order() {
        let top = tempfile::tempdir().expect("tempdir");
        let path = top.path().join("trusted");
        let (a, b, c) = (print("a"), print("b"), print("c"));
        let options = "user=x set=\"B=two  words\" window=\"Mon-Fri 22:00-05:00\"";
        let old = format!(
            "# ci\n{} ci from=10.0.0.0/8\tallow=status\n{c} c\n{a} ci  {options}\r\n{a} ci hold",
            pasted(a)
        );
        std::fs::write(&path, &old).expect("write");
        let numbers = |added: &[Added]| added.iter().map(|line| line.number).collect::<Vec<_>>();
        // The last line of the old one never decides, nor would its like.
        let added = add_like(&path, a, b).expect("added");
        assert_eq!(numbers(&added), [6, 7]);
        let new = format!("{old}\n{b} ci from=10.0.0.0/8 allow=status\n{b} ci {options}\n");
        let read = || std::fs::read_to_string(&path).expect("read");
        assert_eq!(read(), new);
        let trust = Trust::load(&path).expect("sound");
        let of = |thumbprint| trust.of(thumbprint).map(|line| &line.options).collect::<Vec<_>>();
        assert_eq!(of(a)[..2], of(b));
        assert_eq!(add_like(&path, a, b).expect("all there"), []);
        assert_eq!(read(), new);
        // One of them is there.
        let one = format!("{old}\n{b} ci from=10.0.0.0/8 allow=status\n");
        std::fs::write(&path, &one).expect("write");
        assert_eq!(numbers(&add_like(&path, a, b).expect("added")), [7]);
        assert_eq!(read(), new);

        for (text, exit, said) in [
            (format!("{c} c\n"), Exit::Data, "no line of"),
            (format!("{a} ci\n{c} c oops\n"), Exit::Configuration, "unknown option 'oops'"),
        ] {
            std::fs::write(&path, &text).expect("write");
            let error = add_like(&path, a, b).expect_err(said);
            assert_eq!(error.exit, exit);
            assert!(error.message.contains(said), "{error}");
            assert_eq!(read(), text);
        }
        let missing = top.path().join("etc/trusted");
        assert_eq!(add_like(&missing, a, b).expect_err("none").exit, Exit::Data);
        assert!(!top.path().join("etc").exists());
    }

    #[test]
    fn the_old_one_goes_where_the_new_one_is_sound() {
        let top = tempfile::tempdir().expect("tempdir");
        let path = top.path().join("trusted");
        let (a, b) = (print("a"), print("b"));
        let faulty = format!("{} ci max-jobs=4K\n", pasted(a));
        for new in [String::new(), format!("# {b} ci\n"), format!("{b} ci oops\n")] {
            let text = format!("{faulty}{new}");
            std::fs::write(&path, &text).expect("write");
            let error = remove_replaced(&path, a, b).expect_err(&new);
            assert_eq!(error.exit, Exit::Data);
            assert_eq!(std::fs::read_to_string(&path).expect("read"), text);
        }
        let new = format!("{b} ci\n");
        std::fs::write(&path, format!("{faulty}{new}{a} ci\n")).expect("write");
        let removed = remove_replaced(&path, a, b).expect("removed");
        assert_eq!((removed.lines.len(), removed.problems), (2, vec![]));
        assert_eq!(std::fs::read_to_string(&path).expect("read"), new);
        assert_eq!(remove_replaced(&path, a, b).expect("done").lines, []);
        assert_eq!(remove_replaced(&path, b, b).expect_err("the same").exit, Exit::Usage);
        assert_eq!(std::fs::read_to_string(&path).expect("read"), new);
    }

    #[test]
    fn a_file_that_is_too_large_gives_a_line_up() {
        let top = tempfile::tempdir().expect("tempdir");
        let path = top.path().join("trusted");
        let text = format!("{}{} ci\n", "# x\n".repeat(300_000), print("a"));
        std::fs::write(&path, &text).expect("write");
        assert!(Trust::load(&path).is_err());
        let removed = remove_lines(&path, &Whose::Name(name("ci"))).expect("removed");
        assert_eq!(removed.lines.len(), 1);
        assert!(add_line(&path, print("b"), &name("new"), "").is_err());
    }
}
