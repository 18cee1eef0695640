//! The one declaration of a section, from which its documentation, its example, its defaults, its
//! public type and its reading all come.

/// What a key of a section is: its name, its documentation, and what stands for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    /// The key in the file (for a list of tables, the singular that stands in the header).
    pub(crate) name: &'static str,
    /// The lines of its documentation.
    pub(crate) doc: &'static [&'static str],
    /// What stands for it when it is absent.
    pub(crate) kind: Kind,
}

/// What stands for a key that is absent, as TOML literals.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Nothing: it must be given. Holds an example.
    Required(&'static str),
    /// A fixed value, read by the same code as what a file says.
    Default(&'static str),
    /// Nothing is needed. Holds an example.
    Optional(&'static str),
    /// A value that depends on other keys. Holds that of the example.
    Derived(&'static str),
    /// One of three keys that tell a secret. Holds an example of a credential's name.
    Secret(&'static str),
    /// The same three keys, none of which is needed.
    OptionalSecret(&'static str),
    /// A table of its own, all of whose keys have defaults.
    Nested(&'static [Field]),
    /// A table of its own that may be absent.
    OptionalNested(&'static [Field]),
    /// A fixed value; the section reads the key by itself.
    Apart(&'static str),
    /// A list of tables, which the section reads by itself.
    Tables,
}

/// One constructor for each kind, named as in [`section!`].
impl Field {
    const fn new(name: &'static str, doc: &'static [&'static str], kind: Kind) -> Self {
        Self { name, doc, kind }
    }

    pub(crate) const fn required(name: &'static str, doc: Docs, example: &'static str) -> Self {
        Self::new(name, doc, Kind::Required(example))
    }

    pub(crate) const fn default(name: &'static str, doc: Docs, literal: &'static str) -> Self {
        Self::new(name, doc, Kind::Default(literal))
    }

    pub(crate) const fn optional(name: &'static str, doc: Docs, example: &'static str) -> Self {
        Self::new(name, doc, Kind::Optional(example))
    }

    pub(crate) const fn derived(name: &'static str, doc: Docs, example: &'static str) -> Self {
        Self::new(name, doc, Kind::Derived(example))
    }

    pub(crate) const fn secret(name: &'static str, doc: Docs, credential: &'static str) -> Self {
        Self::new(name, doc, Kind::Secret(credential))
    }

    pub(crate) const fn optional_secret(
        name: &'static str,
        doc: Docs,
        credential: &'static str,
    ) -> Self {
        Self::new(name, doc, Kind::OptionalSecret(credential))
    }

    pub(crate) const fn nested(name: &'static str, doc: Docs, inner: &'static [Self]) -> Self {
        Self::new(name, doc, Kind::Nested(inner))
    }

    pub(crate) const fn optional_nested(
        name: &'static str,
        doc: Docs,
        inner: &'static [Self],
    ) -> Self {
        Self::new(name, doc, Kind::OptionalNested(inner))
    }

    pub(crate) const fn apart(name: &'static str, doc: Docs, literal: &'static str) -> Self {
        Self::new(name, doc, Kind::Apart(literal))
    }

    pub(crate) const fn tables(_name: &'static str, doc: Docs, key: &'static str) -> Self {
        Self::new(key, doc, Kind::Tables)
    }

    /// The keys that this field takes in the file.
    pub(crate) fn keys(&self) -> Vec<String> {
        match self.kind {
            Kind::Secret(_) | Kind::OptionalSecret(_) => SECRET_ENDS
                .iter()
                .map(|end| format!("{}{end}", self.name))
                .collect(),
            _ => vec![self.name.to_owned()],
        }
    }
}

type Docs = &'static [&'static str];

/// The ends of the three keys that tell one secret.
pub(crate) const SECRET_ENDS: [&str; 3] = ["", "_file", "_credential"];

/// A section as it was read: each value that could be read, and `None` where there is a mistake.
pub(crate) trait Section: Sized {
    /// What it becomes when nothing is wrong.
    type Checked;
    /// The documentation of the section.
    const DOC: &'static [&'static str];
    /// Its keys, in the order of the example.
    const FIELDS: &'static [Field];

    /// Reads every key, reporting each mistake.
    fn read(reader: &crate::read::Reader<'_>) -> Self;
    /// The checked form, if every value is there.
    fn checked(self) -> Option<Self::Checked>;
}

/// Declares a section: a public struct of checked values, and the raw form that it is read into.
///
/// Each field is `name: Type = kind(literal)`, where the kind is a constructor of [`Field`] and the
/// method of [`Reader`](crate::read::Reader) with that name reads it. `, check` adds a function from
/// the value to what is wrong with it.
macro_rules! section {
    (
        $(#[doc = $doc:literal])*
        pub struct $name:ident, raw $raw:ident {
            $(
                $(#[doc = $field_doc:literal])*
                $field:ident: $ty:ty = $kind:ident($arg:expr) $(, check $check:expr)?;
            )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone)]
        pub struct $name {
            $($(#[doc = $field_doc])* pub $field: $ty,)*
        }

        impl $name {
            /// The keys that another one has other values of.
            pub(crate) fn changed(&self, other: &Self) -> Vec<&'static str> {
                let same = [$($crate::same::$kind(&self.$field, &other.$field)),*];
                let fields = <$raw as $crate::section::Section>::FIELDS.iter().zip(same);
                let changed = fields.filter(|(_, same)| !same);
                changed.map(|(field, _)| field.name).collect()
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.changed(other).is_empty()
            }
        }

        /// The section as it was read.
        #[derive(Debug, Clone)]
        pub(crate) struct $raw {
            $(pub(crate) $field: Option<$ty>,)*
        }

        impl $crate::section::Section for $raw {
            type Checked = $name;
            const DOC: &'static [&'static str] = &[$($doc),*];
            const FIELDS: &'static [$crate::section::Field] = &[
                $($crate::section::Field::$kind(stringify!($field), &[$($field_doc),*], $arg)),*
            ];

            fn read(reader: &$crate::read::Reader<'_>) -> Self {
                let mut fields = Self::FIELDS.iter();
                Self {
                    $($field: fields.next().and_then(|field| {
                        reader.$kind(field, &[$(&$check)?])
                    }),)*
                }
            }

            fn checked(self) -> Option<$name> {
                Some($name { $($field: self.$field?,)* })
            }
        }
    };
}

/// Declares a choice between words: a public enum whose variants are written as strings.
macro_rules! words {
    (
        $(#[doc = $doc:literal])*
        pub enum $name:ident {
            $($(#[doc = $word_doc:literal])* $variant:ident = $word:literal,)*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[doc = $word_doc])* $variant,)*
        }

        impl $name {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$variant)),*];

            /// The word that stands for it in the file.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl $crate::read::FromToml for $name {
            fn from_toml(node: &$crate::read::Node<'_>) -> Option<Self> {
                node.word(Self::WORDS)
            }
        }
    };
}

pub(crate) use {section, words};
