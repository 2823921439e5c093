//! Writes JSON, as far as this crate has something to say in it: objects of texts, numbers and lists.
//!
//! There is no reader here, and no knowledge of what is said.

use std::fmt::{Display, Write as _};

/// Writes one object to the end of `out`.
pub(crate) fn object(out: &mut String, fill: impl FnOnce(&mut Object<'_>)) {
    out.push('{');
    fill(&mut Object {
        out,
        is_empty: true,
    });
    out.push('}');
}

/// An object that is being written.
pub(crate) struct Object<'a> {
    out: &'a mut String,
    is_empty: bool,
}

impl Object<'_> {
    fn key(&mut self, key: &str) {
        if !self.is_empty {
            self.out.push(',');
        }
        self.is_empty = false;
        write_text(self.out, key);
        self.out.push(':');
    }

    pub(crate) fn text(&mut self, key: &str, value: &str) -> &mut Self {
        self.key(key);
        write_text(self.out, value);
        self
    }

    /// `value` is a number or a truth value, and prints as one.
    pub(crate) fn number(&mut self, key: &str, value: impl Display) -> &mut Self {
        self.displayed(key, &value)
    }

    fn displayed(&mut self, key: &str, value: &dyn Display) -> &mut Self {
        self.key(key);
        let _ = write!(self.out, "{value}");
        self
    }

    pub(crate) fn object(&mut self, key: &str, fill: impl FnOnce(&mut Object<'_>)) -> &mut Self {
        self.key(key);
        object(self.out, fill);
        self
    }

    pub(crate) fn numbers(
        &mut self,
        key: &str,
        values: impl IntoIterator<Item = u64>,
    ) -> &mut Self {
        self.key(key);
        self.out.push('[');
        for (index, value) in values.into_iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            let _ = write!(self.out, "{separator}{value}");
        }
        self.out.push(']');
        self
    }
}

/// Writes a text in quotes. Whatever is no plain letter to every reader is escaped: a task's name may hold anything.
fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\u{0}'..='\u{1f}' | '\u{7f}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            _ => out.push(letter),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_its_commas_between_its_members() {
        let mut out = String::from("before ");
        object(&mut out, |it| {
            it.text("a", "b").number("c", 1.5);
            it.object("d", |_| {}).numbers("e", [1, 2]).numbers("f", []);
        });
        assert_eq!(out, r#"before {"a":"b","c":1.5,"d":{},"e":[1,2],"f":[]}"#);
    }

    #[test]
    fn what_a_text_may_not_hold_as_it_is_is_escaped() {
        let mut out = String::new();
        write_text(&mut out, "\"\\\n\t\u{0}\u{1f}\u{7f}é\u{2028}😀");
        assert_eq!(out, "\"\\\"\\\\\\n\\u0009\\u0000\\u001f\\u007fé\\u2028😀\"");
    }
}
