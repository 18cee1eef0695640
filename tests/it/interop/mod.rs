//! Software of other makes against ours: each judges what our codec and session put on the wire,
//! and is judged by what its user sees.

mod kannel;
mod python;

/// An address of the other ESME's own.
const OWN: &str = "447700900999";

/// Every character of the extension table, three segments, and what only UCS-2 can say.
fn texts() -> [String; 3] {
    [
        "Hello {curly} [square] ~ ^ | \\ @".to_owned(),
        "four hundred letters ".repeat(20).trim_end().to_owned(),
        "Привет, 世界, \u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}".to_owned(),
    ]
}
