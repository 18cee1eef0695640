//! What the log promises, beyond what every base does.

pub(in crate::store) mod faulty;

use self::faulty::{Faults, Faulty};
use super::unapplied::Size;
use super::*;

impl Sqlite {
    /// Opens a store whose logs change places at every opportunity.
    pub(in crate::store) fn open_restless(path: &Path) -> Result<Self> {
        let limits = Limits {
            worth: Size { rows: 1, octets: 1 },
            full: Size {
                rows: 40,
                octets: 16 * 1024,
            },
            ..Limits::default()
        };
        Self::open_with(path, limits, |file| Box::new(file))
    }

    /// Opens a store whose logs fail as they are told.
    pub(in crate::store) fn open_faulty(path: &Path, faults: &Arc<Faults>) -> Result<Self> {
        Self::open_with(path, Limits::default(), |file| {
            Box::new(Faulty::new(file, Arc::clone(faults)))
        })
    }
}
