//! Mistakes: what is wrong in a file, where, and how to mend it.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

/// One thing that is wrong in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The line, counted from 1; `None` when the file as a whole is meant.
    pub line: Option<usize>,
    /// The key, such as `link_group[0].link[1].address`; empty when no key is meant.
    pub path: String,
    /// What is wrong and how to mend it. Holds no secret and no phone number.
    pub mend: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.mend)
    }
}

/// Everything that is wrong in one configuration file, in the order of its lines. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes {
    file: PathBuf,
    list: Vec<Mistake>,
}

impl Mistakes {
    /// The single mistake of a file that could not be read at all.
    pub(crate) fn of_file(file: &Path, mend: String) -> Self {
        Self {
            file: file.to_owned(),
            list: vec![Mistake {
                line: None,
                path: String::new(),
                mend,
            }],
        }
    }

    /// The file that they are in.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Each mistake, in the order of its lines.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.list.iter()
    }
}

/// One mistake on each line, the file's name in front.
impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.list.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n" };
            write!(f, "{gap}{}: {mistake}", self.file.display())?;
        }
        Ok(())
    }
}

impl Error for Mistakes {}

/// Collects mistakes while a file is read, and remembers where each key stands.
#[derive(Debug)]
pub(crate) struct Report {
    line_ends: Vec<usize>,
    places: BTreeMap<String, usize>,
    found: Vec<Mistake>,
    notes: Vec<Mistake>,
}

impl Report {
    pub(crate) fn new(text: &str) -> Self {
        let line_ends = text
            .bytes()
            .enumerate()
            .filter(|(_, b)| *b == b'\n')
            .map(|(at, _)| at);
        Self {
            line_ends: line_ends.collect(),
            places: BTreeMap::new(),
            found: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Remembers that `path` stands at the octet `offset` of the text.
    pub(crate) fn remember(&mut self, path: &str, offset: usize) {
        self.places.entry(path.to_owned()).or_insert(offset);
    }

    /// Lets a path have the place of another one.
    pub(crate) fn also_at(&mut self, path: &str, place: &str) {
        if let Some(offset) = self.places.get(place).copied() {
            self.remember(path, offset);
        }
    }

    /// The line of `path`, or of the nearest table around it that the file has.
    pub(crate) fn line_of(&self, path: &str) -> usize {
        let mut path = path;
        loop {
            if let Some(offset) = self.places.get(path) {
                return self.line_at(*offset);
            }
            match path.rfind(['.', '[']).and_then(|at| path.get(..at)) {
                Some(outer) => path = outer,
                None => return 1,
            }
        }
    }

    pub(crate) fn line_at(&self, offset: usize) -> usize {
        self.line_ends
            .partition_point(|end| *end < offset)
            .saturating_add(1)
    }

    /// Adds a mistake at a key; its line is the key's, or that of the nearest table around it.
    pub(crate) fn add(&mut self, path: &str, mend: String) {
        let line = self.line_of(path);
        self.add_at(line, path, mend);
    }

    pub(crate) fn add_at(&mut self, line: usize, path: &str, mend: String) {
        self.found.push(Mistake {
            line: Some(line),
            path: path.to_owned(),
            mend,
        });
    }

    /// Adds what is no mistake, and is hardly meant.
    pub(crate) fn note(&mut self, path: &str, mend: String) {
        self.notes.push(Mistake {
            line: Some(self.line_of(path)),
            path: path.to_owned(),
            mend,
        });
    }

    /// The notes, in the order of their lines; what there is to mend is told once.
    pub(crate) fn notes(&mut self) -> Vec<Mistake> {
        let mut notes = std::mem::take(&mut self.notes);
        notes.sort();
        let mut told = BTreeSet::new();
        notes.retain(|note| told.insert(note.mend.clone()));
        notes
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.found.is_empty()
    }

    /// Ends the reading: everything found, sorted by line and then by key.
    pub(crate) fn into_mistakes(mut self, file: &Path) -> Mistakes {
        self.found.sort();
        self.found.dedup();
        Mistakes {
            file: file.to_owned(),
            list: self.found,
        }
    }
}
