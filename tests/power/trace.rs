//! What strace(1) wrote down: system calls, each with its beginning and its end.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What changes files, tells which file a descriptor is, or says something to somebody.
const CALLS: &str = "open,openat,openat2,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,\
    unlink,unlinkat,rmdir,symlink,symlinkat,write,pwrite64,writev,pwritev,ftruncate,truncate,\
    fallocate,fsync,fdatasync,syncfs,sync,sync_file_range,chmod,fchmod,fchmodat,chown,fchown,lchown,\
    fchownat,clone,clone3,fork,vfork,execve,dup,dup2,dup3,fcntl,lseek,copy_file_range,sendfile,\
    splice,close,sendto,exit_group,chdir,fchdir,setuid,setgid,setresuid,setresgid";

/// One system call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) thread: u32,
    pub(crate) name: String,
    pub(crate) arguments: Vec<String>,
    /// What it returned, as strace says it; of one that never did, nothing.
    pub(crate) result: String,
    /// The lines of the trace on which it begins and ends.
    pub(crate) lines: (usize, usize),
}

/// A moment of the recording: something begins (`true`) or ends.
pub(crate) type Moment = (bool, usize);

/// The tracer, to be given what it traces.
pub(crate) fn strace(output: &Path) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-qq", "--seccomp-bpf", "-s", "1048576", "-e", "signal=none"]);
    strace.arg("-e").arg(format!("trace={CALLS}")).arg("-o").arg(output);
    strace
}

/// Reads a recording.
pub(crate) fn read(path: &Path) -> Vec<Call> {
    let bytes = std::fs::read(path).expect("a trace");
    let text = String::from_utf8(bytes).expect("strace escapes what is no text");
    let mut begun: HashMap<u32, (usize, String)> = HashMap::new();
    let mut calls = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Ok(thread) = thread.parse::<u32>() else { continue };
        let rest = rest.trim_start();
        if let Some(first) = rest.strip_suffix("<unfinished ...>") {
            begun.insert(thread, (number, first.to_string()));
            continue;
        }
        let whole = match rest.strip_prefix("<... ") {
            Some(resumed) => {
                let Some((first, text)) = begun.remove(&thread) else { continue };
                let end = resumed.split_once(" resumed>").map_or("", |(_, end)| end);
                (first, text + end)
            }
            None => (number, rest.to_string()),
        };
        calls.extend(call(thread, &whole.1, (whole.0, number)));
    }
    // Who ends all threads never comes back.
    for (thread, (first, text)) in begun {
        if text.starts_with("exit_group") {
            calls.extend(call(thread, &(text + ") = ?"), (first, usize::MAX)));
        }
    }
    calls.sort_by_key(|call| call.lines);
    calls
}

/// The beginnings and ends of these calls, in their order.
pub(crate) fn moments(calls: &[Call]) -> Vec<Moment> {
    let begins = calls.iter().enumerate().map(|(i, call)| (call.lines.0, true, i));
    let ends = calls.iter().enumerate().map(|(i, call)| (call.lines.1, false, i));
    let mut all: Vec<(usize, bool, usize)> = begins.chain(ends).collect();
    all.sort_by_key(|(line, begins, _)| (*line, !begins));
    all.into_iter().map(|(_, begins, call)| (begins, call)).collect()
}

fn call(thread: u32, text: &str, lines: (usize, usize)) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let (arguments, rest) = arguments(rest)?;
    let result = rest.trim_start().strip_prefix("= ")?.to_string();
    is_name.then(|| Call { thread, name: name.to_string(), arguments, result, lines })
}

/// Splits at the commas of the outermost level; what stands behind the closing bracket.
fn arguments(text: &str) -> Option<(Vec<String>, &str)> {
    let (mut all, mut depth, mut start) = (Vec::new(), 0, 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        if quoted {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'(' | b'[' | b'{' => depth += 1,
            b')' if depth == 0 => {
                let last = text[start..at].trim();
                all.extend((!last.is_empty()).then(|| last.to_string()));
                return Some((all, &text[at + 1..]));
            }
            b')' | b']' | b'}' => depth -= 1,
            b',' if depth == 0 => {
                all.push(text[start..at].trim().to_string());
                start = at + 1;
            }
            _ => {}
        }
    }
    None
}

impl Call {
    /// Its number, unless it failed.
    pub(crate) fn value(&self) -> Option<u64> {
        let digits = self.result.bytes().take_while(u8::is_ascii_digit).count();
        self.result[..digits].parse().ok()
    }

    pub(crate) fn argument(&self, index: usize) -> &str {
        self.arguments.get(index).map_or("", String::as_str)
    }

    /// Does one of its words say this flag?
    pub(crate) fn says(&self, flag: &str) -> bool {
        self.arguments.iter().any(|argument| argument.contains(flag))
    }
}

/// The number of a descriptor, and what it is: `9</a/b>`.
pub(crate) fn descriptor(word: &str) -> (Option<i32>, Option<PathBuf>) {
    let (number, rest) = word.split_once('<').unwrap_or((word, ""));
    let path = rest.rsplit_once('>').map_or("", |(path, _)| path);
    (number.trim().parse().ok(), path.starts_with('/').then(|| PathBuf::from(path)))
}

/// The bytes of all strings in a word: of a buffer, or of several.
pub(crate) fn bytes(word: &str) -> Vec<u8> {
    let (mut all, mut rest) = (Vec::new(), word.bytes().peekable());
    let mut quoted = false;
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => quoted = !quoted,
            _ if !quoted => {}
            b'\\' => {
                let Some(escaped) = rest.next() else { break };
                all.push(match escaped {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'v' => 11,
                    b'f' => 12,
                    b'0'..=b'7' => {
                        let mut value = u32::from(escaped - b'0');
                        for _ in 0..2 {
                            let Some(digit) = rest.next_if(|b| matches!(b, b'0'..=b'7')) else {
                                break;
                            };
                            value = value * 8 + u32::from(digit - b'0');
                        }
                        value as u8
                    }
                    other => other,
                });
            }
            other => all.push(other),
        }
    }
    all
}

/// A file is not the one that a number stands for until the call that opens it is over: what
/// another thread writes meanwhile to the one that had the number is no write to it.
#[test]
fn a_number_is_given_when_its_call_is_over() {
    let sandbox = tempfile::tempdir().expect("tempdir");
    let top = sandbox.path().canonicalize().expect("a path");
    std::fs::write(top.join("kept"), "12345").expect("write");
    let kept = top.join("kept");
    let kept = kept.display();
    let text = format!(
        "7 clone3({{flags=CLONE_VM|CLONE_THREAD, stack_size=0x1}}) = 8\n\
         7 openat(AT_FDCWD, \"{kept}\", O_RDWR <unfinished ...>\n\
         8 write(9</sys/other>, \"xx\", 2) = 2\n\
         8 close(9</sys/other>) = 0\n\
         7 <... openat resumed>) = 9<{kept}>\n\
         7 lseek(9<{kept}>, 3, SEEK_SET) = 3\n\
         7 write(9<{kept}>, \"ab\", 2) = 2\n"
    );
    let trace = top.join("out");
    std::fs::write(&trace, text).expect("write");
    let calls = read(&trace);
    let mut replay = crate::replay::Replay::new(crate::disk::Disk::load(&top));
    std::fs::write(top.join("kept"), "123ab").expect("write");
    for (begins, index) in moments(&calls) {
        match begins {
            true => replay.begins(index, &calls[index]),
            false => replay.ends(index, &calls[index]),
        }
    }
    assert_eq!(replay.disk.differences(), [""; 0]);
}
