//! The known key that a mistyped one was meant to be.

/// Longer keys are not compared: no known key comes near.
const LONGEST: usize = 64;

/// The known word nearest to `word`, if few enough letters differ for it to be a slip.
pub(crate) fn nearest<'k>(word: &str, known: &'k [impl AsRef<str>]) -> Option<&'k str> {
    if word.len() > LONGEST {
        return None;
    }
    let slips = (word.chars().count() / 3).max(1);
    let distances = known
        .iter()
        .map(|known| (distance(word, known.as_ref()), known.as_ref()));
    distances
        .filter(|(far, _)| *far <= slips)
        .min()
        .map(|(_, near)| near)
}

/// The number of letters to add, drop or change to get from one word to the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        let mut next = vec![left];
        for (above, other) in row.iter().skip(1).zip(&to) {
            left = (diagonal + usize::from(letter != *other))
                .min(left + 1)
                .min(above + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_added_dropped_and_changed_letters() {
        for (from, to, far) in [
            ("", "abc", 3),
            ("abc", "", 3),
            ("window", "window", 0),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(from, to), far, "{from} {to}");
        }
    }

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let known = ["system_id", "system_type", "window"];
        assert_eq!(nearest("sytem_id", &known), Some("system_id"));
        assert_eq!(nearest("windows", &known), Some("window"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest(&"w".repeat(100), &known), None);
    }
}
