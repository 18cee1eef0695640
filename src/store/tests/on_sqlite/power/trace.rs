//! What a process did to its files, in order, as strace saw it, and what it said meanwhile.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder in whose trace we are interested is `/…/`, this, `/`.
pub(super) const DISK: &str = "matrix-smpp-disk";
/// What every system call is traced by that could change a file, whether SQLite makes it or not.
const CALLS: &str = "trace=/^(open|creat|mkdir|mknod|rename|link|symlink|unlink|rmdir|p?write\
    |f?truncate|fallocate|copy_file|sendfile|splice|f(data)?sync|sync|msync|mmap)";
/// Begins a word on standard error.
const WORD: &str = "word: ";

/// One thing done. Paths begin inside the disk, offsets and lengths are in octets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A folder was made.
    Folder(PathBuf),
    /// A file was opened, and made where it was not there.
    File(PathBuf),
    /// A name was removed.
    Remove(PathBuf),
    Write {
        path: PathBuf,
        at: usize,
        octets: Vec<u8>,
    },
    Length {
        path: PathBuf,
        length: usize,
    },
    /// A file's content, or a folder's names, were synced: whoever asked was told so.
    Sync(PathBuf),
    /// The process told the world.
    Word(String),
}

/// Tells the world in one system call.
pub(super) fn say(word: &str) {
    use std::io::Write as _;

    let line = format!("{WORD}{word}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Makes a program run under strace, which writes what it sees into `trace`.
pub(super) fn strace(trace: &Path, program: &Path) -> Command {
    let mut command = Command::new("strace");
    command
        .args(["--follow-forks", "--seccomp-bpf", "--decode-fds=path"])
        .args(["--strings-in-hex=all", "--string-limit=1000000"])
        .args([
            "--quiet=attach,exit,personality",
            "--signal=none",
            "-e",
            CALLS,
        ])
        .arg("-o")
        .args([trace, program]);
    command
}

/// Reads a trace.
pub(super) fn read(trace: &str) -> Vec<Event> {
    let mut unfinished: HashMap<&str, &str> = HashMap::new();
    let mut events = Vec::new();
    for line in trace.lines() {
        let (process, rest) = line.split_once(' ').unwrap();
        let rest = rest.trim_start();
        if let Some(begin) = rest.strip_suffix(" <unfinished ...>") {
            unfinished.insert(process, begin);
        } else if let Some((_, end)) = rest.split_once(" resumed>") {
            let begin = unfinished.remove(process).unwrap();
            events.extend(event(&format!("{begin}{end}")));
        } else {
            events.extend(event(rest));
        }
    }
    events
}

/// What a finished call did, if it did anything to the disk or said a word.
fn event(call: &str) -> Option<Event> {
    let (name, arguments) = call.split_once('(')?;
    let (arguments, result) = arguments.rsplit_once(" = ")?;
    let (_, tail) = arguments.rsplit_once(')')?;
    assert!(tail.trim().is_empty(), "{call}");
    let arguments = arguments.trim_end().strip_suffix(')')?;
    if result.starts_with('-') {
        return None;
    }
    let octets = || unhex(arguments.split('"').nth(1).unwrap());
    if name == "write" && arguments.starts_with("2<") {
        let said = String::from_utf8(octets()).ok()?;
        let word = said.strip_prefix(WORD)?.strip_suffix('\n')?;
        return Some(Event::Word(word.to_owned()));
    }
    let path = path(arguments)?;
    // Other processes' memory of the log: SQLite makes it anew when it finds nobody using it.
    if path.to_str().unwrap().ends_with("-shm") {
        return None;
    }
    let last = || arguments.rsplit(", ").next().unwrap().parse().unwrap();
    match name {
        "mkdir" => Some(Event::Folder(path)),
        "openat" if arguments.contains("O_CREAT") => {
            assert!(!arguments.contains("O_TRUNC"), "{call}");
            Some(Event::File(path))
        }
        "openat" => None,
        "unlink" => Some(Event::Remove(path)),
        "pwrite64" => {
            let octets = octets();
            assert_eq!(result, octets.len().to_string(), "{name}");
            let at = last();
            Some(Event::Write { path, at, octets })
        }
        "ftruncate" => Some(Event::Length {
            path,
            length: last(),
        }),
        "fsync" | "fdatasync" => Some(Event::Sync(path)),
        "mmap" if !arguments.contains("PROT_WRITE") => None,
        other => panic!("{other} is not understood: {}", path.display()),
    }
}

/// The path of a call's file inside the disk: of its descriptor where it is there (in angle
/// brackets), else the first string.
fn path(arguments: &str) -> Option<PathBuf> {
    let texts = arguments.split(['<', '>', '"']);
    texts
        .filter(|text| text.starts_with("\\x"))
        .find_map(|text| {
            // Only the beginning of a page that is written is looked at.
            let text = text.get(..4096).unwrap_or(text);
            let whole = String::from_utf8(unhex(text)).ok()?;
            let (_, inside) = whole.split_once(DISK)?;
            Some(PathBuf::from(inside.trim_start_matches('/')))
        })
}

/// The octets of `\x00\xff…`.
fn unhex(text: &str) -> Vec<u8> {
    let octets = text.as_bytes().chunks_exact(4);
    octets
        .map(|octet| match octet {
            [b'\\', b'x', high, low] => digit(*high) << 4 | digit(*low),
            other => panic!("{other:?} is no octet"),
        })
        .collect()
}

fn digit(letter: u8) -> u8 {
    match letter {
        b'0'..=b'9' => letter - b'0',
        _ => letter - b'a' + 10,
    }
}
