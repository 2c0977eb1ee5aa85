//! `octo-exec substitute`: files filled in, whole, private where a secret is in them.

use crate::sandbox;
use crate::support::random::Random;
use crate::support::{PATIENCE, Sandbox, is_root, mode_of, needs, set_mode};
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;

/// Fills in files below `release`.
fn substitute(sandbox: &Sandbox, words: &[&str]) -> Command {
    let mut command = sandbox.tool("octo-exec");
    std::fs::create_dir_all(sandbox.path("release")).expect("mkdir");
    command.current_dir(sandbox.path("release")).timeout(PATIENCE);
    command.arg("substitute").args(words);
    command
}

fn read(sandbox: &Sandbox, name: &str) -> Vec<u8> {
    std::fs::read(sandbox.path("release").join(name)).expect(name)
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("read");
    let name = |e: std::io::Result<std::fs::DirEntry>| e.expect("entry").file_name();
    let mut names: Vec<String> = entries.map(|e| name(e).into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

#[test]
fn names_become_values_and_all_else_stays() {
    let sandbox = sandbox();
    let text = b"a=#{Db.Host}:#{ Port }\r\n\xff\x80 #x ##{Db.Host} ###{Port}\n$HOME {b} #{Empty}|";
    sandbox.write("release/conf/app.ini", text);
    sandbox.write("release/-odd", "#{Url}");
    sandbox.write("release/a.json", "{\"a\": \"#{Url}\"}");
    let mut command = substitute(&sandbox, &["--", "conf/app.ini", "-odd", "a.json", "-odd"]);
    command.env("Db_Host", "db \\1 &").env("Port", "5432").env("Empty", "");
    command.env("Url", "\"#{Db_Host}\"").assert().success().stdout("").stderr("");
    assert_eq!(
        read(&sandbox, "conf/app.ini"),
        b"a=db \\1 &:5432\r\n\xff\x80 #x #{Db.Host} #5432\n$HOME {b} |"
    );
    assert_eq!(read(&sandbox, "-odd"), b"\"db \\1 &\"");
    assert_eq!(read(&sandbox, "a.json"), b"{\"a\": \"\\\"db \\\\1 &\\\"\"}");
    assert_eq!(names_in(&sandbox.path("release")), ["-odd", "a.json", "conf"]);
    assert_eq!(names_in(&sandbox.path("release/conf")), ["app.ini"]);
}

#[test]
fn a_file_with_a_secret_is_for_owner_and_group() {
    let sandbox = sandbox();
    let modes = [
        ("open", "#{Plain}", 0o644, 0o644),
        ("program", "#{Plain}", 0o755, 0o755),
        ("private", "#{Plain}", 0o600, 0o600),
        ("secret", "#{Pass}", 0o644, 0o640),
        ("nested", "#{Url}", 0o644, 0o640),
        ("run", "#{Pass}", 0o755, 0o750),
        ("own", "#{Pass}", 0o600, 0o600),
        ("named", "##{Pass}", 0o644, 0o644),
    ];
    for (name, text, mode, _) in modes {
        set_mode(&sandbox.write(&format!("release/{name}"), text), mode);
    }
    let mut command = substitute(&sandbox, &modes.map(|(name, ..)| name));
    command.env("Plain", "p").env("Pass", "hunter22").env("Url", "u:#{Pass}");
    command.env("OCTO_SECRETS", "Other Pass").assert().success();
    for (name, _, _, mode) in modes {
        assert_eq!(mode_of(&sandbox.path("release").join(name)), mode, "{name}");
    }
    // A list that was cut names not all of them.
    set_mode(&sandbox.write("release/open", "#{Plain}"), 0o644);
    let mut command = substitute(&sandbox, &["open"]);
    command.env("Plain", "p").env("OCTO_SECRETS", "A ...").assert().success();
    assert_eq!(mode_of(&sandbox.path("release/open")), 0o640);
}

#[test]
fn owner_and_group_stay_and_what_is_private_is_the_groups_that_is_named() {
    let sandbox = sandbox();
    if !is_root("owner_and_group_stay_and_what_is_private_is_the_groups_that_is_named") {
        return;
    }
    let owner = |name: &str| {
        let found = sandbox.path("release").join(name).metadata().expect("stat");
        (found.uid(), found.gid(), found.mode() & 0o7777)
    };
    for name in ["plain", "secret"] {
        let path = sandbox.write(&format!("release/{name}"), format!("#{{{name}}}"));
        chown(path, Some(4710), Some(4711)).expect("chown");
    }
    let fill = |words: &[&str]| {
        let mut command = substitute(&sandbox, words);
        command.env("plain", "#{plain2}").env("plain2", "##{plain}");
        command.env("secret", "##{secret}").env("OCTO_SECRETS", "secret");
        command.assert().success();
    };
    fill(&["plain", "secret"]);
    assert_eq!((owner("plain"), owner("secret")), ((4710, 4711, 0o644), (4710, 4711, 0o640)));
    fill(&["--group", "4712", "plain", "secret"]);
    assert_eq!((owner("plain"), owner("secret")), ((4710, 4711, 0o644), (4710, 4712, 0o640)));
}

#[test]
fn what_is_as_it_was_keeps_its_time_and_else_has_the_rollouts() {
    let sandbox = sandbox();
    let time = |path: &Path| {
        let found = path.metadata().expect("stat");
        (found.mtime(), found.mtime_nsec())
    };
    let exact = std::time::UNIX_EPOCH + std::time::Duration::new(1000, 123_456_789);
    for (name, text) in [("same", "x=1"), ("changed", "x=0")] {
        let path = sandbox.write(&format!("1.0/{name}"), text);
        let file = std::fs::File::options().write(true).open(path).expect("open");
        file.set_modified(exact).expect("utimes");
    }
    symlink("1.0", sandbox.path("current")).expect("symlink");
    let fill = |words: &[&str]| {
        for name in ["same", "changed", "new"] {
            sandbox.write(&format!("release/{name}"), "x=#{X}");
        }
        let mut command = substitute(&sandbox, words);
        command.args(["same", "changed", "new"]).env("X", "1").assert().success();
        ["same", "changed", "new"].map(|name| time(&sandbox.path("release").join(name)))
    };
    let all = fill(&["--like", "../current", "--time", "2000"]);
    assert_eq!(all, [(1000, 123_456_789), (2000, 0), (2000, 0)]);
    assert_eq!(fill(&["--time", "2000"]), [(2000, 0); 3]);
    let now = fill(&["--like", "../current"]);
    assert_eq!(now[0], (1000, 123_456_789));
    assert!(now[1].0 > 1_700_000_000 && now[2].0 > 1_700_000_000, "{now:?}");
    let mut command = substitute(&sandbox, &["--like", "../none", "same"]);
    command.assert().code(65).stderr(contains("../none: no such file"));
}

#[test]
fn what_is_no_text_file_of_the_release_is_refused_and_nothing_is_changed() {
    let sandbox = sandbox();
    sandbox.write("outside", "#{X}");
    sandbox.write("release/good", "#{X}");
    sandbox.write("release/d/good", "#{X}");
    sandbox.write("release/binary", b"#{X}\0");
    sandbox.write("release/wide", b"\xff\xfe#\0{\0X\0}\0");
    sandbox.write("release/large", vec![b' '; (16 << 20) + 1]);
    for (target, link) in [("good", "link"), ("d", "way"), ("../outside", "out"), ("none", "dead")]
    {
        symlink(target, sandbox.path("release").join(link)).expect("symlink");
    }
    let fifo = rustix::fs::CWD;
    rustix::fs::mknodat(
        fifo,
        sandbox.path("release/fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .expect("mkfifo");
    let long = "d/".repeat(2050) + "x";
    const PLAIN: &str = "not a plain path";
    for (path, why) in [
        ("none", "none: no such file"),
        ("none/x", "none/x: no such file"),
        ("good/x", "good/x: a link, or below what is no directory"),
        ("link", "link: a link"),
        ("way/good", "way/good: a link"),
        ("out", "out: a link"),
        ("dead", "dead: a link"),
        ("d", "d: not a regular file"),
        ("fifo", "fifo: not a regular file"),
        ("binary", "binary: no text file: it holds a NUL"),
        ("wide", "wide: is UTF-16"),
        ("large", "large: is larger than 16777216 bytes"),
        ("../outside", PLAIN),
        ("./good", PLAIN),
        ("d//good", PLAIN),
        ("d/", PLAIN),
        ("d/../good", PLAIN),
        ("", PLAIN),
        (&long, PLAIN),
        (sandbox.path("outside").to_str().expect("UTF-8"), PLAIN),
    ] {
        let mut command = substitute(&sandbox, &["d/good", path, "good"]);
        command.env("X", "1").assert().code(65).stdout("").stderr(contains(why));
    }
    assert_eq!(
        (read(&sandbox, "good"), read(&sandbox, "d/good")),
        (b"#{X}".into(), b"#{X}".into())
    );
    assert_eq!(std::fs::read(sandbox.path("outside")).expect("read"), b"#{X}");
    assert_eq!(names_in(&sandbox.path("release/d")), ["good"]);
    assert_eq!(names_in(&sandbox.path("release")).len(), 10);
}

#[test]
fn what_can_not_be_filled_in_is_named_and_no_secret_is() {
    let sandbox = sandbox();
    sandbox.write("release/good", "#{Set}");
    const HOOK: &str = "hint: what needs more than names, a hook can do (PreDeploy.sh)";
    for (text, said, hint) in [
        ("#{B.c}\n#{A}#{Set}#{deep}", "bad: not set: A, B_c, deep (Deep is)", ""),
        ("\n#{if A}x#{/if}", "bad: line 2: #{if A}: a condition or a loop, which is not", HOOK),
        ("#{each a in B}#{/each}", "bad: line 1: #{each a in B}: a condition or a loop", HOOK),
        ("#{Set | ToUpper}", "bad: line 1: #{Set | ToUpper}: a filter", HOOK),
        ("\n\nx #{Set", "bad: line 3: #{Set: a #{ that is not closed on its line", HOOK),
        ("#{Set[#{A}]}", "bad: line 1: #{Set[#{A}: a name that is made of another's", HOOK),
        ("#{calc 1 + 1}", "bad: line 1: #{calc 1 + 1}: a calculation", HOOK),
        ("a\n#{Loop}", "bad: line 2: Loop → Loop2 → Loop: their values name each other", ""),
        ("#{Deep}", "bad: not set: what the value of Secret names", ""),
        ("#{Wrong}", "bad: line 1: the value of Wrong holds a filter", "hint: ##{ in a value"),
    ] {
        sandbox.write("release/bad", text);
        let mut command = substitute(&sandbox, &["good", "bad"]);
        command.env("Set", "1").env("Loop", "#{Loop2}").env("Loop2", "x#{Loop}");
        command.env("Secret", "s3cr#{et22}").env("Deep", "#{Secret}").env("Wrong", "s3cr#{x|et22}");
        let refused = command.env("OCTO_SECRETS", "Secret Wrong").assert().code(65).stdout("");
        refused.stderr(contains(said).and(contains(hint)).and(contains("et22").not()));
        assert_eq!(read(&sandbox, "bad"), text.as_bytes());
    }
    for (name, text, value) in [
        ("bad.json", "{\"a\": #{Secret}}", "s3cr et22"),
        ("bad.json", "// #{Secret}\n{}", "s3cr\net22"),
        ("bad.xml", "<a><!-- #{Secret} --></a>", "s3cr--et22"),
        ("bad.xml", "<a>#{Secret}</a>", "s3cr\u{1}et22"),
        ("bad.xml", "<#{Secret}/>", "s3cr et22"),
    ] {
        sandbox.write(&format!("release/{name}"), text);
        let mut command = substitute(&sandbox, &["good", name]);
        command.env("Secret", value).env("Set", "1").env("OCTO_SECRETS", "Secret");
        let said = contains(format!("{name}: line 1: Secret: "));
        command.assert().code(65).stderr(said.and(contains("et22").not()));
    }
    assert_eq!(read(&sandbox, "good"), b"#{Set}");
}

#[test]
fn one_value_is_printed_as_it_is() {
    let sandbox = sandbox();
    let value = |words: &[&str]| {
        let mut command = substitute(&sandbox, words);
        command.env("Url", "http://#{Host}/\n").env("Host", "h").env("Part", "#{none}");
        command.env("OCTO_VERSION", "1.4").env("OCTO_APP", "shop").env("OCTO_RELEASE", "/srv/r");
        command.env("OCTO_ENVIRONMENT", "prod").env("OCTO_JOB", "j").env("OCTO_TARGET", "web1");
        command.assert()
    };
    value(&["--value", "Url"]).success().stdout("http://h/\n").stderr("");
    value(&["--value", "Not.There"]).code(65).stderr("octo-exec: Not.There: not set\n");
    value(&["--value", "Not.There", "--default", "x"]).success().stdout("x");
    value(&["--value=", "--default="]).success().stdout("");
    value(&["--value", "Part", "--default", "x"])
        .code(65)
        .stderr("octo-exec: Part: not set: none (in the value of Part)\n");
    for (name, wanted) in [
        ("Octopus.Release.Number", "1.4"),
        ("Octopus.Project.Name", "shop"),
        ("Octopus.Deployment.Id", "j"),
        ("Octopus.Environment.Name", "prod"),
        ("Octopus.Machine.Name", "web1"),
        ("Octopus.Action.Package.InstallationDirectoryPath", "/srv/r"),
        ("OctopusOriginalPackageDirectoryPath", "/srv/r"),
    ] {
        value(&["--value", name]).success().stdout(wanted);
    }
    for words in [
        &[][..],
        &["--default", "x", "file"],
        &["--value", "Url", "file"],
        &["--value", "Url", "--group", "0"],
        &["--group", "no-such-group", "file"],
        &["--time", "x", "file"],
    ] {
        value(words).code(64).stdout("");
    }
}

/// What other programs read of it is the value, whatever the value is.
#[test]
fn readers_of_json_and_xml_find_the_value() {
    if !needs("readers_of_json_and_xml_find_the_value", "python3") {
        return;
    }
    let sandbox = sandbox();
    let parts = [
        "\"", "\\", "'", "<", ">", "&", "]]>", "-->", "*/", "//", "\n", "\r", "\t", "\u{1}", "é",
        "\u{2028}", "😀", "a", " ", "{", "}", "[1]", "true", "5", "&amp;", "\\u0041", "\u{fffe}",
        "$", "##{x}", "?>", "-", ",", ":", "\u{7f}",
    ];
    let mut random = Random(13);
    let json = "{\"v\": \"#{V}\", \"#{V}k\": [\"a#{V}b\", 1], \"n\": #{N}}";
    let xml = "<?xml version=\"1.0\"?>\n<a v=\"#{V}\" w='#{V}'><b>#{V}</b><![CDATA[x]]>&lt;</a>";
    let (mut filled, mut refused) = (0, 0);
    for number in 0..120 {
        let value: String = (0..random.below(6)).map(|_| random.of(&parts)).collect();
        let n = random.of(&["5", "\"x\"", "null", "[{\"a\": \"\\n\"}]", "-0.5e3"]);
        sandbox.write(&format!("release/{number}.json"), json);
        sandbox.write(&format!("release/{number}.xml"), xml);
        sandbox.write(&format!("values/{number}"), value.replace("##{", "#{"));
        for kind in ["json", "xml"] {
            let name = format!("{number}.{kind}");
            let mut command = substitute(&sandbox, &[&name]);
            let output = command.env("V", &value).env("N", n).output().expect("it starts");
            match output.status.code() {
                Some(0) => filled += 1,
                Some(65) if kind == "xml" && value.contains(['\u{1}', '\u{fffe}']) => {
                    refused += 1;
                    std::fs::remove_file(sandbox.path("release").join(name)).expect("rm");
                }
                _ => panic!("{value:?}: {output:?}"),
            }
        }
    }
    assert!(filled > 150 && refused > 3, "{filled} {refused}");
    let script = "import glob, json, os, xml.dom.minidom
for path in glob.glob('release/*'):
    number, kind = os.path.basename(path).split('.')
    value = open('values/' + number, newline='', encoding='utf-8').read()
    if kind == 'json':
        found = json.load(open(path, encoding='utf-8'))
        got = [found['v'], found[value + 'k'][0][1:-1]]
    else:
        top = xml.dom.minidom.parse(path).documentElement
        inner = top.getElementsByTagName('b')[0]
        got = [top.getAttribute('v'), top.getAttribute('w')]
        got.append(''.join(child.data for child in inner.childNodes))
    assert all(one == value for one in got), (path, value, got)
";
    let mut python = Command::new("python3");
    python.args(["-c", script]).current_dir(sandbox.path("")).assert().success();
}
