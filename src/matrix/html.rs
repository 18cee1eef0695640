//! Plain text from the HTML of a message, for the rare message that has nothing else.

/// The text of `html` as a phone can show it: lines, dashes for list items, no markup. Linear in
/// the input; broken markup is text.
pub(super) fn to_text(html: &str) -> String {
    let mut text = Text::default();
    let mut rest = html;
    while let Some((before, from)) = rest.split_once('<') {
        text.push(before);
        rest = if let Some((tag, after)) = tag(from) {
            text.tag(&name(tag));
            after
        } else {
            text.push("<");
            from
        };
    }
    text.push(rest);
    text.finish()
}

/// What stands between a `<` and its `>`, and what comes after; `None` where this is no tag.
fn tag(from: &str) -> Option<(&str, &str)> {
    let end = from.find(['<', '>'])?;
    let (tag, after) = from.split_at_checked(end)?;
    let starts = |first: char| first.is_ascii_alphabetic() || matches!(first, '/' | '!');
    let after = after.strip_prefix('>')?;
    tag.starts_with(starts).then_some((tag, after))
}

/// The tag's name in lower case, with the slash of an end tag.
fn name(tag: &str) -> String {
    let slash = if tag.starts_with('/') { "/" } else { "" };
    let name = tag.trim_start_matches('/').chars();
    let name = name.take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '-');
    format!("{slash}{}", name.collect::<String>().to_ascii_lowercase())
}

#[derive(Default)]
struct Text {
    out: String,
    /// Inside `<mx-reply>`, the quotation of another message.
    quoting: bool,
}

impl Text {
    fn tag(&mut self, name: &str) {
        match name {
            "mx-reply" => self.quoting = true,
            "/mx-reply" => self.quoting = false,
            "br" | "hr" => self.break_line(),
            "li" => {
                self.start_line();
                self.push("- ");
            }
            name if is_block(name) => self.start_line(),
            _ => {}
        }
    }

    fn push(&mut self, text: &str) {
        if self.quoting {
            return;
        }
        for letter in unescape(text).chars() {
            match letter {
                // Not the no-break space: that one is meant.
                ' ' | '\t' | '\r' | '\n' => self.space(),
                letter => self.out.push(letter),
            }
        }
    }

    fn space(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with([' ', '\n']) {
            self.out.push(' ');
        }
    }

    fn start_line(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.break_line();
        }
    }

    fn break_line(&mut self) {
        if !self.quoting {
            self.out.truncate(self.out.trim_end_matches(' ').len());
            self.out.push('\n');
        }
    }

    fn finish(self) -> String {
        self.out.trim_matches(['\n', ' ']).to_owned()
    }
}

fn is_block(name: &str) -> bool {
    let name = name.trim_start_matches('/');
    matches!(
        name,
        "p" | "div"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "ul"
            | "ol"
            | "li"
            | "pre"
            | "blockquote"
            | "table"
            | "tr"
            | "details"
            | "summary"
    )
}

/// Character references; one that is not known is text.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('&') {
        out.push_str(before);
        // No reference is longer, so that a text of many ampersands stays linear.
        let end = from.bytes().take(10).position(|octet| octet == b';');
        let reference = end.and_then(|end| from.split_at_checked(end));
        if let Some((letter, after)) =
            reference.and_then(|(name, after)| Some((character(name)?, after)))
        {
            out.push(letter);
            rest = after.strip_prefix(';').unwrap_or(after);
        } else {
            out.push('&');
            rest = from;
        }
    }
    out + rest
}

fn character(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some('\u{a0}'),
        _ => {
            let number = name.strip_prefix('#')?;
            let hex = number.strip_prefix(['x', 'X']);
            let code = hex.map_or_else(|| number.parse(), |hex| u32::from_str_radix(hex, 16));
            char::from_u32(code.ok()?).filter(|letter| *letter != '\0')
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn markup_goes_and_lines_stay() {
        for (html, text) in [
            ("<b>hello</b> <i>you</i>", "hello you"),
            ("one<br>two<br/>three", "one\ntwo\nthree"),
            ("<p>one</p>\n<p>two</p>", "one\ntwo"),
            ("<ul><li>a</li><li>b</li></ul>after", "- a\n- b\nafter"),
            ("1 &lt; 2 &amp;&amp; 3 &#62; 2 &#x263A;", "1 < 2 && 3 > 2 ☺"),
            ("a &unknown; & b", "a &unknown; & b"),
            ("2 < 3 <", "2 < 3 <"),
            (
                "<mx-reply><blockquote>old</blockquote></mx-reply>new",
                "new",
            ),
            ("  a \n\t b  ", "a b"),
            ("", ""),
        ] {
            assert_eq!(to_text(html), text, "{html}");
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_rendered(html in "[a-z<>/&;#x0-9 \\PC]*") {
            prop_assert!(to_text(&html).len() <= html.len() + 2 * html.matches('<').count());
        }
    }
}
