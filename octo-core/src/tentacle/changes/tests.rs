//! What is written reads back, stays within its bounds, and drives no terminal.

use super::*;

fn entry(path: &[u8], before: Option<Side>, after: Option<Side>) -> Entry {
    Entry { path: path.to_vec(), before, after }
}

fn about(compared: Compared) -> Changes {
    Changes {
        application: "shop".into(),
        version: "1.4".into(),
        base: "/srv".into(),
        package: Digest::of(b"p"),
        at: "2026-11-27T20:00:00Z".into(),
        held: Some(Digest::of(b"held")),
        outcome: Ok(compared),
    }
}

fn full() -> Changes {
    let current = Current {
        release: "1.3".into(),
        number: Some(7),
        package: Some(Digest::of(b"old")),
        by_manifest: true,
    };
    let counts = Counts { added: 2, removed: 1, changed: 1, same: 1203 };
    let mut compared = Compared { current: Some(current), counts, ..Compared::default() };
    compared.list([
        vec![entry(b"bin/run", Some(Side::File(0o644, 120)), Some(Side::File(0o755, 1)))],
        vec![entry(b"a\x1b[31m\n b", Some(Side::Link(b"x y".to_vec())), None)],
        vec![entry(b"d", None, Some(Side::Directory(0o755)))],
    ]);
    compared.text(b"Deploy.sh", Ok(vec![b"@@ -1 +1 @@".to_vec(), b"+\techo \x1b[2J\xff".to_vec()]));
    compared.text(b"PostDeploy.sh", Err("it is no text".into()));
    compared.note("octo.conf fills in 1 file");
    about(compared)
}

#[test]
fn what_is_written_is_read_back_and_shown_without_escapes() {
    let changes = full();
    assert_eq!(Changes::parse(changes.encode().as_bytes()), Ok(changes.clone()));
    let old = &Digest::of(b"old").to_string()[..16];
    let head = format!(
        "shop 1.4 in /srv beside release 1.3#7 of {old}: 2 added, 1 removed, 1 changed, 1203 the same"
    );
    let word = "  the target's own word, computed there at 2026-11-27T20:00:00Z; nothing of the package was run";
    assert_eq!(
        changes.lines(),
        [
            &head,
            "  changed bin/run: file 0755 1 byte, was file 0644 120 bytes",
            "  removed $'a\\033[31m\\n b': link to 'x y'",
            "  added   d: directory 0755",
            "  and more, not listed: 1 added",
            "  Deploy.sh, beside that of 1.3:",
            "    @@ -1 +1 @@",
            "    +\techo \\x1b[2J\\xff",
            "  PostDeploy.sh, beside that of 1.3:",
            "    not shown: it is no text",
            "  octo.conf fills in 1 file",
            word,
        ]
    );
    let hooks = "  differs, and runs or steers: Deploy.sh PostDeploy.sh";
    assert_eq!(changes.short(), [&head, hooks, word]);
    let failed = Changes { outcome: Err("no \x07 answer".into()), ..full() };
    assert_eq!(Changes::parse(failed.encode().as_bytes()), Ok(failed.clone()));
    assert_eq!(failed.lines(), ["what it would change is not known: no \\x07 answer", word]);
    let first = about(Compared::default());
    assert_eq!(Changes::parse(first.encode().as_bytes()), Ok(first.clone()));
    assert!(first.lines()[0].contains("beside nothing released there yet: 0 added"), "{first:?}");
}

#[test]
fn cut_at_any_line_or_of_another_form_it_is_nothing() {
    let text = full().encode();
    for (end, _) in text.match_indices('\n') {
        let cut = &text[..=end];
        assert_eq!(Changes::parse(cut.as_bytes()).is_ok(), cut == text, "{cut}");
    }
    for (from, to) in [
        ("base /srv\n", "base /srv\nbase /srv\n"),
        ("base /srv\n", "base /srv\nmood good\n"),
        ("0644 120", "0888 120"),
        ("0644 120", "644 120"),
        ("0644 120", "0644 -1"),
        ("over\n", "over\nover\n"),
        ("count 2 1 1 1203\n", ""),
        ("changed bin", "added bin"),
        ("current 1.3", "failed x\ncurrent 1.3"),
        ("basis manifest", "basis rumour"),
        ("text Deploy.sh\n", ""),
    ] {
        let wrong = text.replacen(from, to, 1);
        assert_ne!(wrong, text, "{from}");
        assert!(Changes::parse(wrong.as_bytes()).is_err(), "{wrong}");
    }
    assert_eq!(Changes::parse(&vec![b'\n'; LARGEST + 1]), Err(0));
}

/// However many there are and however long their names, and each kind has its share.
#[test]
fn a_record_is_bounded_and_no_kind_hides_another() {
    let side = Some(Side::File(0o644, u64::MAX));
    for name in [1, 4000] {
        let many = |letter: &str| -> Vec<Vec<u8>> {
            (0..2000).map(|n| format!("{n:04}{}", letter.repeat(name)).into_bytes()).collect()
        };
        let of = |letter: &str, before: &Option<Side>, after: &Option<Side>| -> Vec<Entry> {
            many(letter).iter().map(|path| entry(path, before.clone(), after.clone())).collect()
        };
        let counts = Counts { added: 200_000, removed: 2000, changed: 2000, same: 0 };
        let mut compared = Compared { counts, ..Compared::default() };
        compared.list([of("\n", &side, &side), of("b", &side, &None), of("c", &None, &side)]);
        let line = vec![b'\n'; 1000];
        (0..5).for_each(|_| compared.text(b"Deploy.sh", Ok(vec![line.clone(); 100])));
        (0..100).for_each(|_| compared.note("é".repeat(1000)));
        for what in [What::Changed, What::Removed, What::Added] {
            let listed = compared.entries.iter().filter(|entry| entry.what() == what).count();
            assert!(listed >= if name == 1 { 333 } else { 3 }, "{what:?}: {listed}");
        }
        let changes = about(compared);
        let text = changes.encode();
        assert!(text.len() <= LARGEST, "{}", text.len());
        assert_eq!(Changes::parse(text.as_bytes()), Ok(changes.clone()));
        let lines = changes.lines();
        assert!(lines.iter().any(|line| line.contains("and more, not listed: ")), "{lines:?}");
    }
}
