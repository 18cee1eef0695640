//! Walks a parsed TOML document: from nodes to values, each mistake reported at its place.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::env::Env;
use crate::mistake::Report;
use crate::section::{Field, Kind, Section};
use crate::suggest::nearest;

/// What is wrong with a value: the words after its key.
pub(crate) type Mend = Result<(), String>;

/// Checks of a value beyond its type.
pub(crate) type Checks<'c, T> = &'c [&'c dyn Fn(&T) -> Mend];

/// What the reading of one file shares.
pub(crate) struct Context<'a> {
    /// The world around the file.
    pub(crate) env: &'a dyn Env,
    /// The file itself.
    pub(crate) file: &'a Path,
    /// The folder of the file, where relative paths start.
    pub(crate) folder: &'a Path,
    pub(crate) report: RefCell<Report>,
}

impl Context<'_> {
    /// Reports a mistake at a key.
    pub(crate) fn wrong(&self, path: &str, mend: impl Into<String>) {
        self.report.borrow_mut().add(path, mend.into());
    }

    /// Notes at a key that every user of this machine can read a file that holds a secret.
    pub(crate) fn note_if_public(&self, path: &str, file: &Path) {
        if self.env.is_public(file) {
            let file = file.display();
            let mend = format!(
                "every user of this machine can read {file}, which holds a secret; chmod o-r it"
            );
            self.report.borrow_mut().note(path, mend);
        }
    }

    /// The line of a key, or of the nearest table around it.
    pub(crate) fn line_of(&self, path: &str) -> usize {
        self.report.borrow().line_of(path)
    }

    /// Lets a path have the place of another one.
    pub(crate) fn also_at(&self, path: &str, place: &str) {
        self.report.borrow_mut().also_at(path, place);
    }

    /// Reports every value that stands at more than one path. The mistake is at the later one.
    pub(crate) fn unique<T: Ord>(&self, what: &str, values: &[(T, String)]) {
        let mut first = BTreeMap::new();
        for (value, path) in values {
            match first.entry(value) {
                Entry::Vacant(vacant) => {
                    vacant.insert(path);
                }
                Entry::Occupied(taken) => {
                    let line = self.line_of(taken.get());
                    self.wrong(
                        path,
                        format!("{what} is in use since line {line}; give another"),
                    );
                }
            }
        }
    }
}

/// One value of the file, with its place.
pub(crate) struct Node<'a> {
    pub(crate) value: &'a DeValue<'a>,
    pub(crate) path: String,
    pub(crate) cx: &'a Context<'a>,
}

/// A value that can be read from TOML. A mistake is reported at the node and gives `None`.
pub(crate) trait FromToml: Sized {
    fn from_toml(node: &Node<'_>) -> Option<Self>;
}

impl<'a> Node<'a> {
    fn new(cx: &'a Context<'a>, path: String, spanned: &'a Spanned<DeValue<'a>>) -> Self {
        cx.report.borrow_mut().remember(&path, spanned.span().start);
        Self {
            value: spanned.get_ref(),
            path,
            cx,
        }
    }

    /// Reports what is wrong with this value.
    pub(crate) fn wrong<T>(&self, mend: impl Into<String>) -> Option<T> {
        self.cx.wrong(&self.path, mend);
        None
    }

    /// Reports that this value has another type than the one wanted, such as `text in quotes`.
    pub(crate) fn not<T>(&self, wanted: &str) -> Option<T> {
        self.wrong(format!("is {}; write {wanted}", described(self.value)))
    }

    /// The text of a string, if this is one; `wanted` says what to write instead.
    pub(crate) fn text(&self, wanted: &str) -> Option<&'a str> {
        match self.value {
            DeValue::String(text) => Some(text),
            _ => self.not(wanted),
        }
    }

    /// The variant that a word stands for.
    pub(crate) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let wanted = words
            .iter()
            .map(|(word, _)| format!("\"{word}\""))
            .collect::<Vec<_>>();
        let wanted = wanted.join(" or ");
        let text = self.text(&wanted)?;
        let found = words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value);
        found.or_else(|| self.wrong(format!("{} is not known; write {wanted}", quoted(text))))
    }

    /// The elements of an array.
    pub(crate) fn elements(&self, wanted: &str) -> Option<Vec<Self>> {
        let DeValue::Array(array) = self.value else {
            return self.not(wanted);
        };
        let nodes = array.iter().enumerate();
        Some(
            nodes
                .map(|(at, one)| Node::new(self.cx, format!("{}[{at}]", self.path), one))
                .collect(),
        )
    }

    /// This value as a table to read keys from.
    pub(crate) fn table(&self, wanted: &str) -> Option<Reader<'a>> {
        match self.value {
            DeValue::Table(table) => Some(Reader {
                table: Some(table),
                path: self.path.clone(),
                cx: self.cx,
            }),
            _ => self.not(wanted),
        }
    }
}

/// Reads the keys of one table. A table that the file does not have reads as an empty one.
pub(crate) struct Reader<'a> {
    table: Option<&'a DeTable<'a>>,
    pub(crate) path: String,
    pub(crate) cx: &'a Context<'a>,
}

impl<'a> Reader<'a> {
    /// The reader of the whole document.
    pub(crate) fn root(cx: &'a Context<'a>, table: &'a DeTable<'a>) -> Self {
        Self {
            table: Some(table),
            path: String::new(),
            cx,
        }
    }

    /// The path of a key in this table.
    pub(crate) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// The value of a key, if it is there.
    pub(crate) fn get(&self, key: &str) -> Option<Node<'a>> {
        let value = self.table?.get(key)?;
        Some(Node::new(self.cx, self.path_of(key), value))
    }

    /// Reads a section from this table and refuses the keys that it does not know.
    pub(crate) fn section<S: Section>(&self) -> S {
        let known: Vec<_> = S::FIELDS.iter().flat_map(Field::keys).collect();
        self.refuse_unknown(&known);
        S::read(self)
    }

    /// Reads `[key]` as a section; an absent one has its defaults.
    pub(crate) fn section_at<S: Section>(&self, key: &str) -> Option<S> {
        let reader = match self.get(key) {
            Some(node) => node.table(&format!(
                "[{}] with one pair of brackets",
                self.path_of(key)
            ))?,
            None => Reader {
                table: None,
                path: self.path_of(key),
                cx: self.cx,
            },
        };
        Some(reader.section())
    }

    /// The tables of `[[key]]`, in the order of the file.
    pub(crate) fn tables_at(&self, key: &str) -> Vec<Self> {
        let wanted = format!("[[{}]] with two pairs of brackets", self.header_of(key));
        let nodes = self
            .get(key)
            .and_then(|node| node.elements(&wanted))
            .unwrap_or_default();
        nodes
            .iter()
            .filter_map(|node| node.table(&wanted))
            .collect()
    }

    /// How the header of a list of tables is written: its path without the indexes.
    fn header_of(&self, key: &str) -> String {
        let path = self.path_of(key);
        path.split('[')
            .map(|part| part.split_once(']').map_or(part, |(_, rest)| rest))
            .collect()
    }

    /// Reports each key of the table that is not among the known ones.
    pub(crate) fn refuse_unknown(&self, known: &[impl AsRef<str>]) {
        for (key, value) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if known.iter().any(|known| known.as_ref() == name) {
                continue;
            }
            let shown = if is_bare(name) {
                name.to_owned()
            } else {
                quoted(name)
            };
            let mend = match nearest(name, known) {
                Some(near) => format!("is not a known key; did you mean `{near}`?"),
                None => format!(
                    "is not a known key; remove it, or use one of {}",
                    listed(known)
                ),
            };
            let line = self
                .cx
                .report
                .borrow()
                .line_at(start_of(key.span(), value.span()));
            self.cx
                .report
                .borrow_mut()
                .add_at(line, &self.path_of(&shown), mend);
        }
    }
}

/// How each kind of key is read; the names are those of [`Field`]'s constructors.
impl Reader<'_> {
    pub(crate) fn required<T: FromToml>(&self, field: &Field, checks: Checks<'_, T>) -> Option<T> {
        let Some(node) = self.get(field.name) else {
            let Kind::Required(example) = field.kind else {
                return None;
            };
            self.cx.wrong(
                &self.path_of(field.name),
                format!("is missing; write e.g. {} = {example}", field.name),
            );
            return None;
        };
        checked(&node, T::from_toml(&node)?, checks)
    }

    pub(crate) fn default<T: FromToml>(&self, field: &Field, checks: Checks<'_, T>) -> Option<T> {
        if let Some(node) = self.get(field.name) {
            return checked(&node, T::from_toml(&node)?, checks);
        }
        let Kind::Default(literal) = field.kind else {
            return None;
        };
        let value = DeValue::parse(literal).ok()?;
        let path = self.path_of(field.name);
        let node = Node {
            value: value.get_ref(),
            path,
            cx: self.cx,
        };
        checked(&node, T::from_toml(&node)?, checks)
    }

    #[expect(
        clippy::option_option,
        reason = "the outer None is a mistake, the inner an absent key"
    )]
    pub(crate) fn optional<T: FromToml>(
        &self,
        field: &Field,
        checks: Checks<'_, T>,
    ) -> Option<Option<T>> {
        match self.get(field.name) {
            Some(node) => checked(&node, T::from_toml(&node)?, checks).map(Some),
            None => Some(None),
        }
    }

    pub(crate) fn derived<T: FromToml>(&self, field: &Field, checks: Checks<'_, T>) -> Option<T> {
        let node = self.get(field.name)?;
        checked(&node, T::from_toml(&node)?, checks)
    }

    pub(crate) fn nested<T: FromToml>(&self, field: &Field, checks: Checks<'_, T>) -> Option<T> {
        let empty = DeValue::Table(DeTable::new());
        let path = self.path_of(field.name);
        let node = self.get(field.name).unwrap_or(Node {
            value: &empty,
            path,
            cx: self.cx,
        });
        checked(&node, T::from_toml(&node)?, checks)
    }

    #[expect(
        clippy::option_option,
        reason = "the outer None is a mistake, the inner an absent key"
    )]
    pub(crate) fn optional_nested<T: FromToml>(
        &self,
        field: &Field,
        checks: Checks<'_, T>,
    ) -> Option<Option<T>> {
        self.optional(field, checks)
    }

    /// The section fills the value in by itself.
    #[expect(
        clippy::unused_self,
        reason = "each kind of key is read by a method of this type"
    )]
    pub(crate) fn apart<T>(&self, _field: &Field, _checks: Checks<'_, T>) -> Option<T> {
        None
    }

    /// The section fills a list of tables in by itself.
    #[expect(
        clippy::unused_self,
        reason = "each kind of key is read by a method of this type"
    )]
    pub(crate) fn tables<T>(&self, _field: &Field, _checks: Checks<'_, T>) -> Option<T> {
        None
    }
}

fn checked<T>(node: &Node<'_>, value: T, checks: Checks<'_, T>) -> Option<T> {
    let mends: Vec<_> = checks
        .iter()
        .filter_map(|check| check(&value).err())
        .collect();
    if mends.is_empty() {
        return Some(value);
    }
    mends.into_iter().find_map(|mend| node.wrong(mend))
}

/// A text from the file as it is shown in a mistake: in quotes, escaped and not too long.
pub(crate) fn quoted(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("`{}{dots}`", short.escape_debug())
}

/// Words as a list: `a`, `b`, `c`.
pub(crate) fn listed(words: &[impl AsRef<str>]) -> String {
    let quoted: Vec<_> = words
        .iter()
        .map(|word| format!("`{}`", word.as_ref()))
        .collect();
    quoted.join(", ")
}

fn described(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn is_bare(key: &str) -> bool {
    let bare = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_';
    !key.is_empty() && key.len() <= 64 && key.bytes().all(bare)
}

/// Where a key begins: at its name, or at its table's header when that comes first.
fn start_of(key: Range<usize>, value: Range<usize>) -> usize {
    key.start.min(value.start)
}
