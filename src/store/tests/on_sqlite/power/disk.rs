//! What a disk holds after a power loss: files and folders of which only what was synced is sure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _};

use super::trace::Event;

/// What a disk writes whole or not at all, in octets. SQLite counts on no more either: that what
/// lies beside a write stays as it was ("powersafe overwrite", on by default).
const SECTOR: usize = 512;

/// A disk, and what is on its way to it. Its own root is there from the beginning.
#[derive(Debug, Default)]
pub(super) struct Disk {
    files: Vec<File>,
    /// As the process sees the names.
    seen: Names,
    /// As they are on the disk for sure.
    sure: Names,
    /// Names made and removed since the sync of their folder, in order.
    unsure: Vec<(PathBuf, Option<Node>)>,
}

type Names = BTreeMap<PathBuf, Node>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Folder,
    File(usize),
}

#[derive(Debug, Default)]
struct File {
    sure: Vec<u8>,
    /// Since the last sync, in order.
    unsure: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write { at: usize, octets: Vec<u8> },
    Length(usize),
}

/// What of the unsynced things reaches the disk.
#[derive(Debug)]
pub(super) enum Fate {
    /// None.
    Lost,
    /// All of them: a death of the process only.
    Kept,
    /// Each name, each length and each sector with this chance in a hundred, in whatever order.
    Torn(Box<StdRng>, u32),
}

/// Files with their contents, and folders, which have none; a folder goes before what is in it.
pub(super) type Remains = BTreeMap<PathBuf, Option<Vec<u8>>>;

impl Disk {
    pub(super) fn apply(&mut self, event: &Event) {
        match event {
            Event::Word(_) => {}
            Event::Folder(path) => self.name(path, Some(Node::Folder)),
            Event::File(path) => {
                if !self.seen.contains_key(path) {
                    self.files.push(File::default());
                    self.name(path, Some(Node::File(self.files.len() - 1)));
                }
            }
            Event::Remove(path) => self.name(path, None),
            Event::Write { path, at, octets } => {
                let octets = octets.clone();
                let change = Change::Write { at: *at, octets };
                self.file(path).unsure.push(change);
            }
            Event::Length { path, length } => {
                self.file(path).unsure.push(Change::Length(*length));
            }
            Event::Sync(path) => self.sync(path),
        }
    }

    fn name(&mut self, path: &Path, node: Option<Node>) {
        put(&mut self.seen, path, node);
        self.unsure.push((path.to_owned(), node));
    }

    fn file(&mut self, path: &Path) -> &mut File {
        match self.seen.get(path) {
            Some(Node::File(file)) => &mut self.files[*file],
            other => panic!("{} is {other:?}", path.display()),
        }
    }

    /// A file's sync says nothing of its name: that is its folder's (fsync(2)).
    fn sync(&mut self, path: &Path) {
        if let Some(Node::File(_)) = self.seen.get(path) {
            let file = self.file(path);
            for change in std::mem::take(&mut file.unsure) {
                change.reach(&mut file.sure, &mut Fate::Kept);
            }
            return;
        }
        let inside = |(name, _): &mut (PathBuf, _)| name.parent() == Some(path);
        for (name, node) in self.unsure.extract_if(.., inside) {
            put(&mut self.sure, &name, node);
        }
    }

    /// What is found after the power has come back.
    pub(super) fn after_loss(&self, mut fate: Fate) -> Remains {
        let mut names = self.sure.clone();
        for (name, node) in &self.unsure {
            if fate.keeps() {
                put(&mut names, name, *node);
            }
        }
        let mut remains = Remains::new();
        for (name, node) in names {
            let folder = name.parent().unwrap();
            if folder == Path::new("") || remains.contains_key(folder) {
                let content = match node {
                    Node::Folder => None,
                    Node::File(file) => Some(self.files[file].after_loss(&mut fate)),
                };
                remains.insert(name, content);
            }
        }
        remains
    }
}

fn put(names: &mut Names, path: &Path, node: Option<Node>) {
    match node {
        Some(node) => names.insert(path.to_owned(), node),
        None => names.remove(path),
    };
}

impl File {
    fn after_loss(&self, fate: &mut Fate) -> Vec<u8> {
        let mut content = self.sure.clone();
        for change in &self.unsure {
            change.reach(&mut content, fate);
        }
        content
    }
}

impl Change {
    fn reach(&self, content: &mut Vec<u8>, fate: &mut Fate) {
        match self {
            Self::Length(length) if fate.keeps() => content.resize(*length, 0),
            Self::Length(_) => {}
            Self::Write { at, octets } => {
                let end = at + octets.len();
                let mut from = *at;
                while from < end {
                    let to = (from / SECTOR * SECTOR + SECTOR).min(end);
                    if fate.keeps() {
                        grow(content, from, to, fate);
                        content[from..to].copy_from_slice(&octets[from - at..to - at]);
                    }
                    from = to;
                }
            }
        }
    }
}

/// What a file grows over before it is written may be anything.
fn grow(content: &mut Vec<u8>, from: usize, to: usize, fate: &mut Fate) {
    let old = content.len();
    if old < to {
        content.resize(to, 0);
    }
    if old < from {
        fate.junk(&mut content[old..from]);
    }
}

impl Fate {
    fn keeps(&mut self) -> bool {
        match self {
            Self::Lost => false,
            Self::Kept => true,
            Self::Torn(random, chance) => random.random_ratio(*chance, 100),
        }
    }

    fn junk(&mut self, gap: &mut [u8]) {
        if let Self::Torn(random, _) = self
            && random.random()
        {
            random.fill_bytes(gap);
        }
    }
}
