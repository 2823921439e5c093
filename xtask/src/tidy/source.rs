//! Rust source with everything blanked that is not code: comments and the insides of literals.
//!
//! Blanks keep every byte's place, so a position in the code is a position in the text. A full parser would need
//! dependencies; telling code from text needs only the rules below. This file knows no house rule.

use std::ops::Range;

/// Returns `text` with comments and literals replaced by spaces; line breaks stay.
pub(super) fn code_of(text: &str) -> String {
    let mut code = text.as_bytes().to_vec();
    let mut position = 0;
    while position < code.len() {
        let end = end_of_text(text, position);
        match end {
            Some(end) => {
                blank(&mut code, position..end);
                position = end;
            }
            None => position += 1,
        }
    }
    String::from_utf8_lossy(&code).into_owned()
}

fn blank(code: &mut [u8], range: Range<usize>) {
    for byte in &mut code[range] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

/// If a comment or a literal begins at `start`, returns where it ends.
fn end_of_text(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let rest = &bytes[start..];
    match rest {
        [b'/', b'/', ..] => Some(line_end(bytes, start)),
        [b'/', b'*', ..] => Some(block_comment_end(bytes, start)),
        [b'"', ..] => Some(quoted_end(bytes, start + 1, b'"')),
        [b'r', ..] if !follows_name(bytes, start) => raw_string_end(bytes, start + 1),
        [b'b' | b'c', b'r', ..] if !follows_name(bytes, start) => raw_string_end(bytes, start + 2),
        [b'\'', ..] => char_end(text, start),
        // A byte beyond ASCII is no code, wherever it stands.
        [byte, ..] if !byte.is_ascii() => Some(start + 1),
        _ => None,
    }
}

/// Returns `true` if the byte before belongs to a name: the `r` of `for` begins no raw string.
fn follows_name(bytes: &[u8], position: usize) -> bool {
    position > 0 && is_name_byte(bytes[position - 1])
}

/// Returns `true` for what a name consists of.
pub(super) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn line_end(bytes: &[u8], start: usize) -> usize {
    let length = bytes[start..].iter().position(|&byte| byte == b'\n');
    length.map_or(bytes.len(), |length| start + length)
}

/// Block comments nest.
fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut position = start;
    while position < bytes.len() {
        match bytes[position..] {
            [b'/', b'*', ..] => depth += 1,
            [b'*', b'/', ..] => depth -= 1,
            _ => {
                position += 1;
                continue;
            }
        }
        position += 2;
        if depth == 0 {
            return position;
        }
    }
    bytes.len()
}

fn quoted_end(bytes: &[u8], mut position: usize, quote: u8) -> usize {
    while position < bytes.len() {
        match bytes[position] {
            b'\\' => position += 2,
            byte if byte == quote => return position + 1,
            _ => position += 1,
        }
    }
    bytes.len()
}

/// `hashes` is where the hashes of a raw string begin; `None` if it is none (`r#type`).
fn raw_string_end(bytes: &[u8], hashes: usize) -> Option<usize> {
    let count = bytes[hashes..].iter().take_while(|&&b| b == b'#').count();
    let start = hashes + count;
    if bytes.get(start) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(count + 1, b'#');
    let length = bytes[start + 1..]
        .windows(close.len())
        .position(|window| window == close);
    Some(length.map_or(bytes.len(), |length| start + 1 + length + close.len()))
}

/// `None` for a lifetime, whose name no quote follows.
fn char_end(text: &str, start: usize) -> Option<usize> {
    let mut characters = text[start + 1..].char_indices();
    match characters.next()? {
        (_, '\\') => Some(quoted_end(text.as_bytes(), start + 1, b'\'')),
        _ => match characters.next()? {
            (length, '\'') => Some(start + 1 + length + 1),
            _ => None,
        },
    }
}

/// Returns the line, counted from 1, on which `position` lies.
pub(super) fn line_of(text: &str, position: usize) -> usize {
    1 + text.as_bytes()[..position]
        .iter()
        .filter(|&&byte| byte == b'\n')
        .count()
}

/// Returns where `word` stands in `code` as a whole word.
pub(super) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = code.as_bytes();
    code.match_indices(word)
        .map(|(position, _)| position)
        .filter(move |&position| {
            let after = bytes.get(position + word.len());
            !follows_name(bytes, position) && !after.is_some_and(|&byte| is_name_byte(byte))
        })
}

/// A module written inside of its file.
pub(super) struct InlineModule {
    pub(super) name: String,
    /// From its opening brace to its closing one.
    pub(super) body: Range<usize>,
}

/// Returns the modules that are written inside of `code`.
pub(super) fn inline_modules(code: &str) -> Vec<InlineModule> {
    words(code, "mod")
        .filter_map(|position| {
            let rest = &code[position + "mod".len()..];
            let open = rest.find(['{', ';'])?;
            let name = rest[..open].trim();
            let is_module = rest[open..].starts_with('{') && name.bytes().all(is_name_byte);
            let open = position + "mod".len() + open;
            is_module.then(|| InlineModule {
                name: name.to_owned(),
                body: open..closing_brace(code, open),
            })
        })
        .collect()
}

fn closing_brace(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return offset,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}
