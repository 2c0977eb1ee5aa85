//! Text with `#{NAME}` in it, taken apart as Octopus does; what it knows besides names is
//! told apart from them, and never passed over.

use octo_core::base::encoding::printable;

/// So much of what is refused is shown.
const SHOWN: usize = 60;

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// As it is.
    Text(&'a [u8]),
    /// What stands between the braces, without blanks beside it.
    Name(&'a [u8]),
}

/// What stands there and can't be filled in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong<'a> {
    /// What kind of thing it is, with its article.
    pub(super) what: &'static str,
    text: &'a [u8],
}

impl Wrong<'_> {
    /// Its own words, for a message; never those of a value.
    pub(super) fn shown(&self) -> String {
        let line = self.text.split(|b| matches!(b, b'\n' | b'\r')).next().unwrap_or_default();
        match line.len() > SHOWN {
            true => printable(&line[..SHOWN]) + "...",
            false => printable(line),
        }
    }
}

/// The pieces of a text, in their order; behind an error there is no more.
pub(super) struct Pieces<'a> {
    rest: &'a [u8],
    line: usize,
}

/// Takes a text apart.
pub(super) fn pieces(text: &[u8]) -> Pieces<'_> {
    Pieces { rest: text, line: 1 }
}

/// Is there anything but plain text?
pub(super) fn has_names(text: &[u8]) -> bool {
    find(text, b"#{").is_some()
}

/// The variable of this name: each character that can't stand in it is `_` there.
pub(super) fn variable(name: &[u8]) -> String {
    let mut variable = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        variable.extend(chunk.valid().chars().map(letter));
        variable.extend(chunk.invalid().iter().map(|_| '_'));
    }
    variable
}

/// Where the one begins in the other.
pub(super) fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

impl<'a> Pieces<'a> {
    /// The line of the piece that comes next, from 1.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// Each with its line, and with the text that follows it.
    pub(super) fn followed(mut self) -> Followed<'a> {
        let line = self.line;
        let next = self.next();
        Followed { pieces: self, next: next.map(|piece| (line, piece)) }
    }

    /// Goes behind so many bytes of what is left, which it returns.
    fn pass(&mut self, count: usize) -> &'a [u8] {
        let (passed, rest) = self.rest.split_at(count);
        self.rest = rest;
        self.line += passed.iter().filter(|b| **b == b'\n').count();
        passed
    }

    fn name(&mut self) -> Result<Piece<'a>, Wrong<'a>> {
        let all = self.rest;
        let inside = &all[2..];
        let end = inside.iter().position(|b| matches!(b, b'}' | b'\n'));
        let Some(end) = end.filter(|end| inside[*end] == b'}') else {
            return Err(Wrong { what: "a #{ that is not closed on its line", text: all });
        };
        let text = &all[..end + 3];
        let name = inside[..end].trim_ascii();
        if let Some(what) = what_else(name) {
            return Err(Wrong { what, text });
        }
        self.pass(text.len());
        Ok(Piece::Name(name))
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Result<Piece<'a>, Wrong<'a>>;

    /// Of the hashes before a brace the last begins a name; an even number of them is
    /// one that is meant, and one less.
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some(last) = find(self.rest, b"#{") else {
            return Some(Ok(Piece::Text(self.pass(self.rest.len()))));
        };
        let hashes = 1 + self.rest[..last].iter().rev().take_while(|b| **b == b'#').count();
        if hashes == 1 && last == 0 {
            let name = self.name();
            if name.is_err() {
                self.rest = &[];
            }
            return Some(name);
        }
        // Two hashes say one, both before a name and before a brace that is only a brace.
        let kept = match hashes {
            1 => last,
            more if more % 2 == 0 => last,
            _ => last - 1,
        };
        let text = self.pass(kept);
        if hashes > 1 {
            self.pass(1);
        }
        Some(Ok(Piece::Text(text)))
    }
}

/// The pieces of a text without errors, up to one.
pub(super) struct Followed<'a> {
    pieces: Pieces<'a>,
    next: Option<(usize, Result<Piece<'a>, Wrong<'a>>)>,
}

impl<'a> Iterator for Followed<'a> {
    type Item = (usize, Piece<'a>, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (line, piece) = self.next.take()?;
        let next_line = self.pieces.line;
        self.next = self.pieces.next().map(|piece| (next_line, piece));
        let after = match &self.next {
            Some((_, Ok(Piece::Text(text)))) => text,
            _ => &b""[..],
        };
        piece.ok().map(|piece| (line, piece, after))
    }
}

/// What Octopus takes it for, where that is no name.
fn what_else(inside: &[u8]) -> Option<&'static str> {
    const BLOCK: &str = "a condition or a loop";
    let mut words = inside.split(u8::is_ascii_whitespace);
    let first = words.next().unwrap_or_default().to_ascii_lowercase();
    let has_more = words.next().is_some();
    if find(inside, b"#{").is_some() {
        return Some("a name that is made of another's value");
    }
    match first.as_slice() {
        b"" => return Some("no name"),
        b"if" | b"unless" | b"each" | b"else" => return Some(BLOCK),
        b"calc" if has_more => return Some("a calculation"),
        [b'/', ..] => return Some(BLOCK),
        _ => {}
    }
    if inside.contains(&b'|') {
        return Some("a filter");
    }
    inside.contains(&b'{').then_some("no name")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names in angle brackets; what is wrong, behind its line.
    fn taken_apart(text: &str) -> String {
        let mut pieces = pieces(text.as_bytes());
        let mut shown = String::new();
        loop {
            let line = pieces.line();
            match pieces.next() {
                None => return shown,
                Some(Ok(Piece::Text(text))) => shown += std::str::from_utf8(text).expect("text"),
                Some(Ok(Piece::Name(name))) => shown += &format!("<{}>", variable(name)),
                Some(Err(wrong)) => shown += &format!("!{line} {}: {}", wrong.shown(), wrong.what),
            }
        }
    }

    #[test]
    fn names_are_taken_out_of_text() {
        for (text, wanted) in [
            ("", ""),
            ("a{b}#c", "a{b}#c"),
            ("#", "#"),
            ("#{A}", "<A>"),
            ("x#{Db.Host}y#{ A B }\n", "x<Db_Host>y<A_B>\n"),
            ("#{A}#{B}}", "<A><B>}"),
            ("#{Servers[0].Näme}", "<Servers_0__N_me>"),
            ("#{ifs}#{Each1}#{calc}", "<ifs><Each1><calc>"),
        ] {
            assert_eq!(taken_apart(text), wanted, "{text}");
        }
        assert_eq!(variable(b"\xff\xfeA"), "__A");
    }

    /// As Octostache has them: pairs, and what is left.
    #[test]
    fn a_hash_is_meant_where_it_stands_twice() {
        for (text, wanted) in [
            ("##{A}", "#{A}"),
            ("a##{A}##{B", "a#{A}#{B"),
            ("###{A}", "#<A>"),
            ("####{A}", "###{A}"),
            ("#####{A}", "###<A>"),
            ("#{A}##{B}", "<A>#{B}"),
            ("## #a", "## #a"),
            ("##{if X}##{/if}", "#{if X}#{/if}"),
        ] {
            assert_eq!(taken_apart(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_told_by_its_line() {
        for (text, wanted) in [
            ("\n#{if A}b#{/if}", "\n!2 #{if A}: a condition or a loop"),
            ("#{Unless A}", "!1 #{Unless A}: a condition or a loop"),
            ("#{each a in B}", "!1 #{each a in B}: a condition or a loop"),
            ("#{else}", "!1 #{else}: a condition or a loop"),
            ("a\n\n#{/if}", "a\n\n!3 #{/if}: a condition or a loop"),
            ("#{calc A + 1}", "!1 #{calc A + 1}: a calculation"),
            ("#{A | ToUpper}", "!1 #{A | ToUpper}: a filter"),
            ("#{ | NowDate}", "!1 #{ | NowDate}: a filter"),
            ("#{A[#{B}].C}", "!1 #{A[#{B}: a name that is made of another's value"),
            ("#{}", "!1 #{}: no name"),
            ("#{ }", "!1 #{ }: no name"),
            ("#{a{b}", "!1 #{a{b}: no name"),
            ("x#{A\n}", "x!1 #{A: a #{ that is not closed on its line"),
            ("#{", "!1 #{: a #{ that is not closed on its line"),
        ] {
            assert_eq!(taken_apart(text), wanted, "{text}");
        }
        let long = format!("#{{{}", "x".repeat(1000));
        assert!(taken_apart(&long).len() < 120);
    }
}
