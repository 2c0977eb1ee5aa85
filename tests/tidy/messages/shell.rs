//! Messages in bash: what is handed to the functions that print, to those which hand
//! theirs on to them, and what is kept for them in variables.

use crate::Set;

/// They print; whoever hands its own arguments on to one of them does so, too.
const PRINTING: [&str; 6] = ["say", "fail", "misuse", "hint", "note", "warn"];

/// All functions of these scripts that print what they are handed.
pub(super) fn printing(scripts: &[String]) -> Set {
    let mut found: Set = PRINTING.map(String::from).into();
    loop {
        let before = found.len();
        for text in scripts {
            for (name, body) in functions(text) {
                let own = own_names(body);
                let hands_on = |words: &Vec<String>| {
                    words.iter().any(|word| {
                        is_argument(word) || names(word).iter().any(|name| own.contains(name))
                    })
                };
                if calls(body, &found).iter().any(hands_on) {
                    found.insert(name.to_string());
                }
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// The templates of a script, each expansion as `{}`.
pub(super) fn templates(text: &str, printing: &Set) -> Vec<String> {
    let words: Vec<String> = calls(text, printing).into_iter().flatten().collect();
    let mut found: Vec<String> = words.iter().filter_map(|word| template(word)).collect();
    let names: Set = words.iter().flat_map(|word| names(word)).collect();
    for line in joined(text).lines() {
        let line = line.trim_start().trim_start_matches("local ");
        for (name, value) in line.split_once('=').into_iter().chain(assigned(line)) {
            let name = name.trim_end_matches('+');
            if names.contains(name) && value.starts_with(['"', '\'', '$']) {
                found.extend(words_of(value).first().and_then(|word| template(word)));
            }
        }
    }
    found
}

/// Those behind a condition: `[[ … ]] || name="…"`.
fn assigned(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let behind = line.split(" || ").skip(1).chain(line.split(" && ").skip(1));
    let behind = behind.chain(line.split(") ").skip(1)).chain(line.split(" then ").skip(1));
    behind.filter_map(|part| part.trim_start().split_once('='))
}

fn functions(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find("() {") {
        let name = text[..from + at].rsplit('\n').next().unwrap_or_default();
        let rest = &text[from + at..];
        let end = if rest.lines().next().is_some_and(|line| line.ends_with('}')) {
            rest.find('\n')
        } else {
            rest.find("\n}")
        };
        let end = end.unwrap_or(rest.len());
        found.push((name.trim(), &rest[4..end]));
        from += at + 4;
    }
    found
}

/// The words of each call of one of these.
fn calls(text: &str, names: &Set) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for line in joined(text).lines().filter(|line| !line.trim_start().starts_with('#')) {
        for (at, _) in line.char_indices() {
            let rest = &line[at..];
            let name = rest.split([' ', ';']).next().unwrap_or_default();
            if names.contains(name) && is_command(&line[..at]) && rest.len() > name.len() {
                found.push(words_of(&rest[name.len() + 1..]));
            }
        }
        if line.contains(">&2") {
            let said = line.split("printf ").skip(1).chain(line.split("echo ").skip(1));
            found.extend(said.map(words_of));
        }
    }
    found
}

/// Is a command what stands behind this?
fn is_command(before: &str) -> bool {
    let before = before.trim_end();
    let word = before.rsplit([' ', '(', ';']).next().unwrap_or_default();
    before.is_empty()
        || before.ends_with([';', '|', '&', '(', '{', ')', '!'])
        || ["then", "else", "do", "if", "while"].contains(&word)
}

/// A call that goes on behind the line's end is one line.
fn joined(text: &str) -> String {
    let mut whole = String::new();
    let mut is_open = false;
    for line in text.lines() {
        let line = if is_open { line.trim_start() } else { line };
        is_open = line.ends_with('\\') || line.ends_with("||");
        whole.push_str(line.trim_end_matches('\\'));
        whole.push(if is_open { ' ' } else { '\n' });
    }
    whole
}

/// The words up to the command's end, quotes taken off, expansions kept.
fn words_of(rest: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    let mut depth = 0;
    let mut characters = rest.chars().peekable();
    while let Some(character) = characters.next() {
        let word = words.last_mut().expect("there is one");
        match (character, quote) {
            ('\\', None | Some('"')) => word.extend(characters.next()),
            ('$', None | Some('"')) if matches!(characters.peek(), Some('(' | '{')) => {
                depth += 1;
                word.push('$');
                word.extend(characters.next());
            }
            ('(' | '{', _) if depth > 0 => {
                depth += 1;
                word.push(character);
            }
            (')' | '}', _) if depth > 0 => {
                depth -= 1;
                word.push(character);
            }
            _ if depth > 0 => word.push(character),
            ('"' | '\'', None) => quote = Some(character),
            (_, Some(open)) if character == open => quote = None,
            (';' | '|' | '&' | ')' | '<' | '>' | '}', None) => break,
            (' ', None) => words.push(String::new()),
            _ => word.push(character),
        }
    }
    words
}

/// The variables that hold an argument: `local message=$2`.
fn own_names(body: &str) -> Set {
    let set = body.split([' ', '\n', ';']).filter_map(|word| word.split_once('='));
    set.filter(|(_, value)| value.starts_with('$') && is_argument(value))
        .map(|(name, _)| name.to_string())
        .collect()
}

/// A trace of what is called hands nothing on that is a message.
fn is_argument(word: &str) -> bool {
    if word.starts_with('+') {
        return false;
    }
    let behind = word.split('$').skip(1).map(|rest| rest.trim_start_matches('{'));
    behind.into_iter().any(|rest| rest.starts_with(['*', '@', '1', '2', '3', '4', '5']))
}

/// The variables of a word, which may hold the better part of the message.
fn names(word: &str) -> Vec<String> {
    let behind = word.split('$').skip(1).map(|rest| rest.trim_start_matches('{'));
    let named = |rest: &str| {
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>()
    };
    behind.map(named).filter(|name| !name.is_empty()).collect()
}

/// `None` for what isn't read as words.
fn template(word: &str) -> Option<String> {
    let mut text = String::new();
    let mut letters = String::new();
    let mut characters = word.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '$' && characters.peek().is_some_and(|c| !" '\"".contains(*c)) {
            pass_expansion(&mut characters);
            text.push_str("{}");
            letters.push(' ');
        } else {
            text.push(character);
            letters.push(character);
        }
    }
    let text = text.replace("%s", "{}").replace("%q", "{}").replace("\\n", "");
    let text = text.trim().to_string();
    let letters: Vec<char> = letters.chars().collect();
    let reads = letters.windows(2).any(|pair| pair.iter().all(char::is_ascii_lowercase));
    (reads && text.contains(' ')).then_some(text)
}

fn pass_expansion(characters: &mut std::iter::Peekable<std::str::Chars>) {
    let mut depth = 0;
    if characters.peek().is_some_and(|c| "({".contains(*c)) {
        for character in characters.by_ref() {
            depth += i32::from("({".contains(character)) - i32::from(")}".contains(character));
            if depth == 0 {
                return;
            }
        }
    }
    if characters.next_if(|c| "*@#?!0123456789".contains(*c)).is_none() {
        while characters.next_if(|c| c.is_ascii_alphanumeric() || *c == '_').is_some() {}
    }
}

#[test]
fn words_are_found_in_calls_wrappers_and_variables() {
    let script = r#"
# fail "no call in a comment"
refuse() {
  fail "$EX_DATA" "$1: refused"
}
refuse_all() {
  local what=$1
  refuse "$what" and more
}
main() {
  refuse_all 'the moon is full'
  [[ -f $file ]] || fail "$EX_DATA" "$(shown "$file"): not a file of ${words[0]:-ours}" \
    'mend it first'
  local why='it is late'
  if true; then refuse "$here: holds $why"; fi
  printf 'octo: %s: no job\n' "$job" >&2
  echo "no message of ours"
}
"#;
    let printing = printing(&[script.to_string()]);
    assert!(printing.contains("refuse") && !printing.contains("main"));
    let wanted = [
        "{}: refused",
        "the moon is full",
        "{}: not a file of {}",
        "mend it first",
        "{}: holds {}",
        "octo: {}: no job",
        "it is late",
    ];
    assert_eq!(templates(script, &printing), wanted);
}
