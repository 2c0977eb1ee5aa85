//! A package that the target has another version of is sent as the difference.

use crate::fault_proxy::{Direction, FaultProxy, Faults, Plan};
use crate::faults::{next_request, one_that, say};
use crate::support::random::Random;
use crate::support::{PATIENCE, stdout_of};
use crate::tentacle::{Octopus, Tentacle};
use assert_cmd::cargo::cargo_bin;
use octo_core::Digest;
use octo_wire::Message;
use predicates::str::contains;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A version of a package of 3 MiB: the same bytes but for a few.
fn version(number: u8) -> Vec<u8> {
    let mut bytes = Random(1).bytes(3 << 20);
    bytes[(1 << 20)..(1 << 20) + 100].fill(number);
    bytes
}

/// An archive of these files.
fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (path, bytes) in files {
        let mut header = [0; 512];
        header[..path.len()].copy_from_slice(path.as_bytes());
        header[124..136].copy_from_slice(format!("{:011o}\0", bytes.len()).as_bytes());
        header[148..157].copy_from_slice(b"        0");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend(header);
        archive.extend(bytes);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.extend([0; 1024]);
    archive
}

fn write(octopus: &Octopus, name: &str, bytes: &[u8]) -> String {
    let path = octopus.sandbox.path(name);
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("mkdir");
    std::fs::write(&path, bytes).expect("write");
    path.to_str().expect("a path").to_string()
}

fn object(tentacle: &Tentacle, bytes: &[u8]) -> PathBuf {
    tentacle.state.join("packages").join(Digest::of(bytes).to_string())
}

/// What `--json` says of each target: size and wire.
fn told(octopus: &Octopus, words: &[&str]) -> BTreeMap<String, (u64, u64)> {
    let all = [&["-a", "--json"], words].concat();
    let said = stdout_of(&mut octopus.push(&all));
    let ends = said.lines().filter(|line| line.contains(r#""type":"end""#));
    let text = |line: &str, key: &str| {
        let behind = line.split(&format!("\"{key}\":")).nth(1).expect(key);
        behind.split([',', '}']).next().expect(key).trim_matches('"').to_string()
    };
    let number = |line: &str, key: &str| text(line, key).parse::<u64>().expect(key);
    ends.map(|line| (text(line, "target"), (number(line, "size"), number(line, "wire")))).collect()
}

fn told_of_one(octopus: &Octopus, words: &[&str]) -> (u64, u64) {
    let all = told(octopus, words);
    assert_eq!(all.len(), 1, "{all:?}");
    all["web1"]
}

#[test]
fn a_new_version_costs_its_change() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let size = version(1).len() as u64;
    let [one, two, three] =
        [1, 2, 3].map(|number| write(&octopus, &format!("shop-{number}.tar"), &version(number)));
    std::fs::remove_file(&two).expect("removed");
    let (said, wire) = told_of_one(&octopus, &["put", &one]);
    assert_eq!(said, size);
    assert!(wire > size, "{wire}");
    // Behind what lies beside it, and as a person is told.
    let (said, wire) = told_of_one(&octopus, &["put", &three]);
    assert_eq!(said, size);
    assert!(wire < 5_000, "{wire}");
    assert_eq!(std::fs::read(object(&web1, &version(3))).expect("the object"), version(3));
    assert!(web1.log().contains("that make it of"), "{}", web1.log());
    // What is there costs nothing.
    assert_eq!(told_of_one(&octopus, &["put", &three]), (size, 0));
    write(&octopus, "shop-2.tar", &version(2));
    octopus.push(&["-a", "-v", "put", &two]).assert().success().stderr(contains("3.0 MiB in "));
    // The package of a job as well.
    let four = write(&octopus, "shop-4.tar", &version(4));
    let run = ["run", "-p", &four, "-c", "cmp \"$OCTO_PACKAGE\" \"$1\"", &four];
    let (_, wire) = told_of_one(&octopus, &run);
    assert!(wire < 5_000, "{wire}");
    // No package, nothing put.
    let said = stdout_of(&mut octopus.push(&["-a", "--json", "run", "-c", "true"]));
    assert!(said.contains(r#""size":null,"wire":null"#), "{said}");
}

#[test]
fn bases_are_named_remembered_or_beside() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let old = write(&octopus, "old/shop-1.tar", &version(1));
    let put =
        |path: &str, more: &[&str]| told_of_one(&octopus, &[&["put"], more, &[path]].concat()).1;
    put(&old, &[]);
    // Of another application, and elsewhere: no base.
    let other = write(&octopus, "new/store-2.tar", &version(2));
    assert!(put(&other, &[]) > 3 << 20);
    let named = write(&octopus, "new/store-3.tar", &version(3));
    std::fs::remove_file(object(&web1, &version(2))).expect("removed");
    assert!(put(&named, &["--patch-from", &old]) < 5_000);
    // A directory of the same application.
    let directory = octopus.sandbox.path("old");
    let directory = directory.to_str().expect("a path");
    let of_it = write(&octopus, "new/shop-4.tar", &version(4));
    assert!(put(&of_it, &["--patch-from", directory]) < 5_000);
    octopus
        .push(&["-a", "put", "--patch-from", "/nowhere-such", &of_it])
        .assert()
        .code(65)
        .stderr(contains("/nowhere-such"));
    // Of a small one, too, for which no base is looked for.
    let small = write(&octopus, "new/shop-6.tar", b"small");
    for more in [&["-a"][..], &["-a", "-n"]] {
        let words = [more, &["put", "--patch-from", "/nowhere-such", &small]].concat();
        octopus.push(&words).assert().code(65).stderr(contains("/nowhere-such"));
    }
    // What is compressed as a whole has nothing in common, and is not compared.
    let packed = write(&octopus, "new/shop-5.tar.gz", &version(5));
    assert!(put(&packed, &[]) > 3 << 20);
}

/// A fleet with different versions: a patch for three of them, the others get it whole.
#[test]
fn each_target_gets_what_it_lacks() {
    let mut octopus = Octopus::new(cargo_bin!("octo-push"));
    let names = ["web1", "web2", "web3", "web4", "web5", "web6"];
    let tentacles: Vec<_> = names.iter().map(|name| octopus.tentacle(name, "web")).collect();
    let size = version(1).len() as u64;
    // 1 and 2 have version 1, 3 has 2, 4 has 3, 5 has 4, 6 has none.
    for (name, number) in [("web1,web2", 1), ("web3", 2), ("web4", 3), ("web5", 4)] {
        let path = write(&octopus, &format!("shop-{number}.tar"), &version(number));
        octopus.push(&["-t", name, "put", &path]).assert().success();
    }
    for number in 1..=4 {
        // The bytes of the bases are elsewhere: only --patch-from names them.
        let from = octopus.sandbox.path(&format!("shop-{number}.tar"));
        let to = octopus.sandbox.path(&format!("old/shop-{number}.tar"));
        std::fs::create_dir_all(to.parent().expect("a directory")).expect("mkdir");
        std::fs::rename(from, to).expect("renamed");
    }
    let new = write(&octopus, "shop-9.tar", &version(9));
    let old: Vec<String> = (1..=4)
        .map(|number| octopus.sandbox.path(&format!("old/shop-{number}.tar")).display().to_string())
        .collect();
    let mut words = vec!["-f", "1", "put"];
    old.iter().for_each(|path| words.extend(["--patch-from", path]));
    words.push(&new);
    let told = told(&octopus, &words);
    let patched: Vec<_> = names.iter().map(|name| told[*name].1 < 5_000).collect();
    assert_eq!(patched, [true, true, true, true, false, false], "{told:?}");
    for (name, tentacle) in names.iter().zip(&tentacles) {
        assert_eq!(told[*name].0, size);
        assert!(std::fs::read(object(tentacle, &version(9))).expect("the object") == version(9));
    }
}

#[test]
fn a_patch_that_breaks_off_goes_on_where_it_was() {
    let (mut octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    // So much is new that it doesn't pass at once.
    let old = Random(3).bytes(20 << 20);
    let mut new = old.clone();
    new[..2 << 20].copy_from_slice(&Random(4).bytes(2 << 20));
    new[18 << 20..].copy_from_slice(&Random(5).bytes(2 << 20));
    let [old, path] = [("shop-1.tar", &old), ("shop-2.tar", &new)]
        .map(|(name, bytes)| write(&octopus, name, bytes));
    octopus.push(&["-a", "put", &old]).assert().success();
    let proxy = FaultProxy::start(&web1.address);
    octopus.set_targets(&web1.line_at(&proxy.address.to_string(), "web"));
    for cut in [3_000_000, 2_500_000] {
        let up = Faults { cut_at: Some(cut), ..Faults::default() };
        proxy.next(Plan { up, down: Faults::default() });
        let before = proxy.forwarded(Direction::Up);
        let (size, wire) = told_of_one(&octopus, &["put", &path]);
        assert_eq!(size, 20 << 20);
        assert!(wire > 4 << 20, "{wire}");
        // Up to the cut, and the second half of what is new; from the beginning on it would be
        // all of it once more.
        let passed = proxy.forwarded(Direction::Up) - before;
        assert!(passed < cut + (3 << 20), "{passed}");
        let object = object(&web1, &new);
        assert!(std::fs::read(&object).expect("the object") == new);
        std::fs::remove_file(object).expect("removed");
    }
}

#[test]
fn a_base_that_is_not_what_it_was_costs_a_second_try() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let [one, two] = [1, 2].map(|n| write(&octopus, &format!("shop-{n}.tar"), &version(n)));
    octopus.push(&["-a", "put", &one]).assert().success();
    let there = object(&web1, &version(1));
    std::fs::remove_file(&there).expect("removed");
    let mut damaged = version(1);
    damaged[2 << 20] ^= 1;
    std::fs::write(&there, damaged).expect("written");
    let (size, wire) = told_of_one(&octopus, &["put", &two]);
    assert!(wire > size, "{wire}");
    assert!(std::fs::read(object(&web1, &version(2))).expect("the object") == version(2));
}

/// What is there of it may have been made of a base that was damaged, by a connection that
/// broke: whether all of it is there or some, it is put.
#[test]
fn a_beginning_that_is_damaged_costs_a_second_try() {
    let (octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let [one, two] = [1, 2].map(|n| write(&octopus, &format!("shop-{n}.tar"), &version(n)));
    octopus.push(&["-a", "put", &one]).assert().success();
    let (digest, size) = (Digest::of(&version(2)), version(2).len());
    let partial = web1.state.join(format!("packages/incoming/{digest}.octopus"));
    let mut damaged = version(2);
    damaged[5] ^= 1;
    for cut in [size, 1 << 20] {
        std::fs::write(&partial, &damaged[..cut]).expect("written");
        // Nothing broke: it needs no other connection.
        let mut put = octopus.push(&["-a", "-v", "--reconnect", "0s", "put", &two]);
        put.assert().success().stderr(contains("shop-2.tar put, 3.0 MiB\n"));
        let object = object(&web1, &version(2));
        assert!(std::fs::read(&object).expect("the object") == version(2));
        std::fs::remove_file(object).expect("removed");
    }
}

/// What is new says nothing of what comes behind it.
#[test]
fn what_is_new_at_the_front_costs_no_more_than_itself() {
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let old = (0..5).map(|n| (format!("file-{n}"), Random(100 + n).bytes(4 << 20)));
    let old: Vec<_> = old.collect();
    let mut new = old.clone();
    new.insert(0, ("a-film".into(), Random(7).bytes(10 << 20)));
    let [one, two] = [("shop-1.tar", &old), ("shop-2.tar", &new)]
        .map(|(name, files)| write(&octopus, name, &tar(files)));
    octopus.push(&["-a", "put", &one]).assert().success();
    let (size, wire) = told_of_one(&octopus, &["put", &two]);
    assert!(size > 30 << 20 && wire < 11 << 20, "{wire} of {size}");
}

/// Of many versions each may be made of all others: they are not all open at once.
#[test]
fn many_packages_need_few_descriptors() {
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let small = |n: u8| [&[n; 100], &Random(1).bytes(70_000)[..]].concat();
    let paths = (0..20).map(|n| write(&octopus, &format!("shop-{n}.tar"), &small(n)));
    let paths: Vec<_> = paths.collect();
    let put = octopus.start(&["-a", "put"]);
    let mut limited = std::process::Command::new("sh");
    limited
        .args(["-c", "ulimit -n 128; exec \"$0\" \"$@\""])
        .arg(put.get_program())
        .args(put.get_args())
        .env_clear()
        .envs(put.get_envs().filter_map(|(key, value)| Some((key, value?))));
    for path in &paths {
        limited.args(["--patch-from", path]);
    }
    let said = limited.args(&paths).output().expect("it runs");
    assert!(said.status.success(), "{said:?}");
}

/// Anybody may put something endless beside a package.
#[test]
fn what_would_take_long_to_hash_is_no_base() {
    let (octopus, _web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let one = write(&octopus, "shop-1.tar", &version(1));
    let endless = std::fs::File::create(octopus.sandbox.path("shop-0.tar")).expect("created");
    endless.set_len(1 << 40).expect("a hole");
    octopus.push(&["-a", "put", &one]).timeout(PATIENCE).assert().success();
}

/// A package that is put again, since the connection broke before its job was accepted, is
/// one package.
#[test]
fn a_package_counts_once_however_often_it_is_offered() {
    let (octopus, connections) = one_that(|connection, number| {
        while let Some(request) = next_request(connection) {
            let said: &[u8] = match request.word() {
                "put" if number == 0 => {
                    say(connection, b"ok offset=0\n");
                    let part = connection.read_message().expect("read").expect("a part");
                    connection.skip_body(part.body().expect("a body")).expect("skipped");
                    b"ok\n"
                }
                // The first is but the question.
                "run" if number == 0 && request.value("script").is_some() => return,
                "follow" => b"ok\nend kind=exit code=0\n",
                _ => b"ok\n",
            };
            say(connection, said);
        }
    });
    let package = write(&octopus, "shop-1.tar", &Random(3).bytes(10_000));
    let (size, wire) = told_of_one(&octopus, &["run", "-p", &package, "-c", "true"]);
    assert_eq!((size, connections.count()), (10_000, 2));
    assert!(wire > 10_000, "{wire}");
}

#[test]
fn a_tentacle_that_promises_what_it_has_not_is_caught() {
    // It names what was not offered.
    let (octopus, _) = one_that(|connection, _| {
        next_request(connection);
        let unknown = Digest::of(b"?");
        say(connection, format!("ok offset=0 base={unknown}\n").as_bytes());
        let _ = connection.read_message();
    });
    let [_, two] = [1, 2].map(|n| write(&octopus, &format!("shop-{n}.tar"), &version(n)));
    octopus
        .push(&["-a", "put", &two])
        .assert()
        .code(76)
        .stderr(contains("a base that was not offered"));

    // It names one that it hasn't, and finds that what came is wrong: the second time none
    // is offered, and the package comes as it is.
    let (octopus, connections) = one_that(|connection, number| {
        let Some(put) = next_request(connection) else { return };
        assert_eq!(put.text("bases").is_some(), number == 0);
        let base = put.text("bases").map(|base| format!(" base={base}")).unwrap_or_default();
        say(connection, format!("ok offset=0{base}\n").as_bytes());
        let (mut left, mut patched) = (put.number("size").expect("a size").expect("a size"), false);
        while left > 0 {
            let Ok(Some(part)) = connection.read_message() else { return };
            patched |= part.value("ranges").is_some();
            left -= part.number("size").expect("a size").expect("a size");
            connection.skip_body(part.body().expect("a body")).expect("skipped");
        }
        assert_eq!(patched, number == 0);
        say(connection, if patched { b"no code=mismatch reason=x\n" } else { b"ok\n" });
        let _ = connection.close();
    });
    let [_, two] = [1, 2].map(|n| write(&octopus, &format!("shop-{n}.tar"), &version(n)));
    octopus.push(&["-a", "put", &two]).assert().success();
    assert_eq!(connections.count(), 2);
}

/// Where the link is the slower part, what can be compressed is; where it isn't, it isn't.
#[test]
fn a_slow_link_gets_it_compressed() {
    let (mut octopus, web1) = Octopus::with_one(cargo_bin!("octo-push"));
    let text = b"all work and no play makes jack a dull boy\n".repeat(500_000);
    let path = write(&octopus, "shop-1.tar", &text);
    let proxy = FaultProxy::start(&web1.address);
    octopus.set_targets(&web1.line_at(&proxy.address.to_string(), "web"));
    let slow = Faults { delay: Duration::from_millis(5), piece: 64 << 10, ..Faults::default() };
    proxy.next(Plan { up: slow, down: Faults::default() });
    let (size, wire) = told_of_one(&octopus, &["put", &path]);
    assert_eq!(size, text.len() as u64);
    // What goes into the buffers of two sockets tells nothing yet.
    assert!(wire < size / 4 * 3, "{wire} of {size}");
    assert!(std::fs::read(object(&web1, &text)).expect("the object") == text);
    assert!(proxy.forwarded(Direction::Up) < size, "{}", proxy.forwarded(Direction::Up));
}

#[test]
fn the_parts_are_those_of_the_page() {
    let (octopus, connections) = one_that(|connection, _| {
        let Some(put) = next_request(connection) else { return };
        let base = put.text("bases").expect("bases").to_string();
        say(connection, format!("ok offset=1000 base={base}\n").as_bytes());
        let part: Message = connection.read_message().expect("read").expect("a part");
        assert_eq!(part.word(), "part");
        assert_eq!(part.text("zstd"), Some("yes"));
        assert_eq!(part.number("skip").expect("a number"), Some(1000));
        let ranges = part.text("ranges").expect("ranges").to_string();
        assert!(octo_core::patch::parse_ranges(&ranges, 3 << 20).is_ok(), "{ranges}");
        connection.skip_body(part.body().expect("a body")).expect("skipped");
        say(connection, b"ok\n");
        let _ = connection.close();
    });
    let [_, two] = [1, 2].map(|n| write(&octopus, &format!("shop-{n}.tar"), &version(n)));
    octopus.push(&["-a", "put", &two]).assert().success();
    // One connection, and one round trip more than for what is there.
    assert_eq!(connections.count(), 1);
}
