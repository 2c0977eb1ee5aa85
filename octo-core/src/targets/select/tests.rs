use super::*;
use std::path::Path;

fn targets() -> Targets {
    let text = "web1 h webpki prod web\nweb2 h webpki prod web canary\n\
                db1 h webpki prod db\nweb3 h webpki staging web\n";
    Targets::parse(Path::new("t"), text.as_bytes()).expect("sound")
}

fn terms(text: &str) -> Vec<Term> {
    text.split(',').filter(|t| !t.is_empty()).map(|t| Term::Word(t.into())).collect()
}

#[test]
fn selections() {
    let targets = targets();
    for (all, take, leave, shard, expected) in [
        (true, vec![], "", None, "web1 web2 db1 web3"),
        (true, vec![], "web", None, "db1"),
        (false, vec!["web"], "", None, "web1 web2 web3"),
        (false, vec!["web3,db"], "", None, "db1 web3"),
        (false, vec!["web", "prod"], "", None, "web1 web2"),
        (false, vec!["web", "prod"], "canary", None, "web1"),
        (true, vec![], "", Some("1/3"), "web1 web3"),
        (true, vec![], "", Some("3/3"), "db1"),
        (false, vec!["web1"], "", Some("2/2"), ""),
    ] {
        let selection = Selection {
            all,
            take: take.iter().map(|t| terms(t)).collect(),
            leave: terms(leave),
            shard: shard.and_then(Shard::parse),
        };
        let names: Vec<&str> =
            targets.select(&selection).expect("selects").iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names.join(" "), expected, "{selection:?}");
    }
}

fn found(targets: &Targets, take: &str) -> Result<String> {
    let take = words(take)?.into_iter().map(Term::Word).collect();
    let selected = targets.select(&Selection { take: vec![take], ..Selection::default() })?;
    let names: Vec<&str> = selected.iter().map(|t| t.name.as_str()).collect();
    Ok(names.join(" "))
}

#[test]
fn ranges_and_patterns_are_names_and_tags() {
    let text = "web1 h webpki prod\nweb2 h webpki prod z1\nweb10 h webpki z2\nweb01 h webpki\n\
                rack1-node01 h webpki\nrack1-node02 h webpki z2\nrack2-node01 h webpki\n\
                Web3 h webpki\na@b.c_1 h webpki\n";
    let targets = Targets::parse(Path::new("t"), text.as_bytes()).expect("sound");
    for (said, expected) in [
        ("web[1-2]", "web1 web2"),
        ("web[2,1,1],web10", "web1 web2 web10"),
        ("web[1-10/9]", "web1 web10"),
        ("web[01]", "web01"),
        ("rack[1-2]-node01,rack1-node[01-02]", "rack1-node01 rack1-node02 rack2-node01"),
        ("z[1-2]", "web2 web10 rack1-node02"),
        ("web*", "web1 web2 web10 web01"),
        ("web?", "web1 web2"),
        ("*eb*", "web1 web2 web10 web01 Web3"),
        ("z?,p*", "web1 web2 web10 rack1-node02"),
        ("rack[1-2]-*", "rack1-node01 rack1-node02 rack2-node01"),
        ("rack1-node??", "rack1-node01 rack1-node02"),
        ("*@*", "a@b.c_1"),
        ("*", "web1 web2 web10 web01 rack1-node01 rack1-node02 rack2-node01 Web3 a@b.c_1"),
    ] {
        assert_eq!(found(&targets, said).expect(said), expected, "{said}");
    }
    for (said, message, hint) in [
        ("wbe1", "wbe1: no target and no tag has this name", Some("did you mean web1?")),
        (
            "web[1-2,7,9]",
            "web[7,9]: no target and no tag has this name",
            Some("did you mean web1, web2?"),
        ),
        ("web[1-3]", "web3: no target and no tag has this name", Some("did you mean Web3, web1, ")),
        ("web[1-2],x,y", "x,y: no target and no tag has this name", None),
        ("rack[1-3]-*", "rack3-*: no target and no tag has this name", Some("rack1-node01, rack1")),
        ("wbe*", "wbe*: no target and no tag has this name", Some("web01, web1, web10?")),
        (
            "WEB*",
            "WEB*: no target and no tag has this name",
            Some("did you mean Web3, web01, web1?"),
        ),
        ("cache?", "cache?: no target and no tag has this name", None),
        (
            "web[1-500000]",
            "web3,web4,web5,web6,web7,web8,web9,web11 and 499989 more: no target",
            Some("web1"),
        ),
        ("\u{1b}[1]", "\\x1b1: no target", Some("z1")),
    ] {
        let error = found(&targets, said).expect_err(said);
        assert!(error.message.starts_with(message), "{said}: {}", error.message);
        assert_eq!(error.exit, Exit::Data);
        let (last, offered) = error.hints.split_last().expect("a hint");
        assert_eq!(last, "octo-push targets lists them");
        match hint {
            Some(hint) => assert!(offered[0].contains(hint), "{said}: {offered:?}"),
            None => assert!(offered.is_empty(), "{said}: {offered:?}"),
        }
    }
    let error = found(&targets, "web[1-99999999999]").expect_err("gigantic");
    assert_eq!(error.message, "web[1-99999999999]: stands for more than 1000000 names");
}

/// What is shown folded is taken back: random names of few letters, so that many share
/// what stands around their numbers.
#[test]
fn what_is_folded_is_the_same_selection() {
    let mut state = 20_261_128_u64;
    let mut random = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % below
    };
    const PARTS: [&str; 16] = [
        "web",
        "web-",
        "w",
        "n",
        "0",
        "00",
        "1",
        "9",
        "10",
        "099",
        "-",
        ".",
        "_",
        "@",
        "x.example",
        "1234567890123456789",
    ];
    for _ in 0..300 {
        let mut all: Vec<String> = Vec::new();
        for _ in 0..40 {
            let mut name = ["a", "web", "1", "0", "09"][random(5)].to_string();
            for _ in 0..random(5) {
                name.push_str(PARTS[random(PARTS.len())]);
            }
            if name.len() <= 64 && !all.contains(&name) {
                all.push(name);
            }
        }
        let text: String = all.iter().map(|name| format!("{name} h webpki\n")).collect();
        let targets = Targets::parse(Path::new("t"), text.as_bytes()).expect("names");
        let meant: Vec<&str> = all.iter().map(String::as_str).filter(|_| random(3) > 0).collect();
        if meant.is_empty() {
            continue;
        }
        let folded = fold(meant.iter().copied());
        assert!(!folded.contains([' ', '*', '?']), "{folded}");
        assert_eq!(found(&targets, &folded).expect(&folded), meant.join(" "), "{folded}");
    }
}

/// `-t` with each of 10,000 names, on targets with a thousand tags between them.
#[test]
fn ten_thousand_words_are_cheap() {
    let text: String = (0..10_000).map(|i| format!("n{i} h webpki t{}\n", i % 1000)).collect();
    let targets = Targets::parse(Path::new("t"), text.as_bytes()).expect("sound");
    let names = (0..10_000).map(|i| Term::Word(format!("n{i}"))).collect();
    let leave = (1..1000).map(|i| Term::Word(format!("t{i}"))).collect();
    let start = std::time::Instant::now();
    let selection = Selection { take: vec![names], leave, ..Selection::default() };
    let selected = targets.select(&selection).expect("selects");
    let names: Vec<&str> = selected.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names.join(" "), "n0 n1000 n2000 n3000 n4000 n5000 n6000 n7000 n8000 n9000");
    // Generous for a loaded machine; each word for each target would take longer.
    assert!(start.elapsed() < std::time::Duration::from_secs(5));

    let start = std::time::Instant::now();
    let selected = |said: &str| found(&targets, said).map(|names| names.split(' ').count());
    assert_eq!(selected("n[0-9999]").expect("a range"), 10_000);
    let directory = tempfile::tempdir().expect("tempdir");
    let file = directory.path().join("names");
    let lines: String = (0..5_000).map(|i| format!("n{i},n[{}]\n", i + 5_000)).collect();
    std::fs::write(&file, lines).expect("written");
    assert_eq!(selected(&format!("@{}", file.display())).expect("a file"), 10_000);
    assert_eq!(selected("n[0-9]*,n?[0-9]*").expect("patterns"), 10_000);
    // Each begins as ten names do, and is held against those alone.
    assert_eq!(selected("n[100-999]?").expect("patterns"), 9_000);
    // Each of these matches nothing, as late as can be.
    let hostile: Vec<String> = (0..300).map(|i| format!("*n*n*n*n*n*n*n*{i}x")).collect();
    let error = selected(&hostile.join(",")).expect_err("nothing");
    assert!(error.message.starts_with("*n*n*n*n*n*n*n*[0-299]x: no target"), "{}", error.message);
    let misspelt: Vec<String> = (0..10_000).map(|i| format!("n0{i}x{}", i % 7)).collect();
    let error = selected(&misspelt.join(",")).expect_err("none of them");
    assert!(error.message.contains(" and 9992 more: no target"), "{}", error.message);
    assert!(error.hints[0].starts_with("did you mean n") && error.message.len() < 200);
    assert!(start.elapsed() < std::time::Duration::from_secs(20));
}

/// Names as long as they can be, all alike, and patterns that nearly match each of them.
#[test]
fn patterns_are_never_tried_in_all_ways() {
    let text: String =
        (0..10_000).map(|i| format!("{}{i:05} h webpki\n", "a".repeat(59))).collect();
    let targets = Targets::parse(Path::new("t"), text.as_bytes()).expect("sound");
    let start = std::time::Instant::now();
    for pattern in ["*a*a*a*b".to_string(), "*a".repeat(30) + "*b", "*".repeat(1 << 20) + "b"] {
        let error = found(&targets, &pattern).expect_err("none");
        assert!(error.message.ends_with("no target and no tag has this name"));
    }
    // In all ways would be for ever.
    assert!(start.elapsed() < std::time::Duration::from_secs(20));
}

#[test]
fn nothing_selected_is_an_error() {
    let targets = targets();
    let error = targets.select(&Selection::default()).expect_err("nothing");
    assert_eq!(error.exit, Exit::Usage);
    let select = |take: &[&str], leave: &str| {
        let take = take.iter().map(|t| terms(t)).collect();
        targets.select(&Selection { take, leave: terms(leave), ..Selection::default() })
    };
    assert_eq!(select(&["web", "db"], "").expect_err("empty").exit, Exit::Usage);
    assert_eq!(select(&["web1"], "web1").expect_err("empty").exit, Exit::Usage);
    for error in [select(&["wbe"], ""), select(&["web"], "wbe")] {
        let error = error.expect_err("unknown");
        assert_eq!(
            (error.message.as_str(), error.exit),
            ("wbe: no target and no tag has this name", Exit::Data)
        );
    }
    let error = select(&["web", ""], "").expect_err("an empty file");
    assert_eq!((error.message.as_str(), error.exit), ("-t: the file names no target", Exit::Data));
    let known = Term::Names(["db1".to_string(), "gone".to_string()].into());
    let selection = Selection { take: vec![vec![known]], ..Selection::default() };
    assert_eq!(targets.select(&selection).expect("one").len(), 1);
}

#[test]
fn shards_are_strict() {
    assert_eq!(Shard::parse("2/3"), Some(Shard { share: 2, of: 3 }));
    for bad in ["", "1", "0/3", "4/3", "1/0", "-1/3", "1/3/4", "a/b"] {
        assert_eq!(Shard::parse(bad), None, "{bad}");
    }
}
