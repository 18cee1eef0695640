//! What `data_coding` says beside the charset: where the handset shows a text, and which mailbox has
//! messages. SMPP 3.4 §5.2.19, GSM 03.38 §4.

use crate::values::DataCoding;

/// Where a handset puts a text (GSM 03.38 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum MessageClass {
    /// Class 0: shown at once and not kept ("flash").
    Flash = 0,
    /// Class 1: kept by the handset.
    Handset = 1,
    /// Class 2: kept by the SIM.
    Sim = 2,
    /// Class 3: handed to what is connected to the handset.
    Terminal = 3,
}

impl MessageClass {
    /// The class of the two low bits.
    const fn of_bits(bits: u8) -> Self {
        match bits & 0b11 {
            0 => Self::Flash,
            1 => Self::Handset,
            2 => Self::Sim,
            _ => Self::Terminal,
        }
    }
}

/// Whether a mailbox has messages (GSM 03.38 §4, groups 1100 to 1110).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageWaiting {
    /// Whether the text is to be kept.
    pub keep: bool,
    /// Whether the indicator is to be shown.
    pub active: bool,
    /// 0 voicemail, 1 fax, 2 e-mail, 3 other.
    pub kind: u8,
}

impl DataCoding {
    /// Where the text is shown; `None` where nothing is said about it.
    #[must_use]
    pub const fn message_class(self) -> Option<MessageClass> {
        match self.0 {
            0x10..=0x1f | 0x30..=0x3f | 0x50..=0x5f | 0x70..=0x7f | 0xf0..=0xff => {
                Some(MessageClass::of_bits(self.0))
            }
            _ => None,
        }
    }

    /// Which mailbox has messages; `None` where nothing is said about it.
    #[must_use]
    pub const fn message_waiting(self) -> Option<MessageWaiting> {
        if !matches!(self.0, 0xc0..=0xef) {
            return None;
        }
        Some(MessageWaiting {
            keep: self.0 >= 0xd0,
            active: self.0 & 0b1000 != 0,
            kind: self.0 & 0b11,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_told_by_the_groups_that_have_one() {
        let class = |octet| DataCoding(octet).message_class();
        assert_eq!(class(0x10), Some(MessageClass::Flash));
        assert_eq!(class(0x18), Some(MessageClass::Flash));
        assert_eq!(class(0xf2), Some(MessageClass::Sim));
        assert_eq!(class(0xf7), Some(MessageClass::Terminal));
        for octet in [0x00, 0x03, 0x08, 0x20, 0x40, 0x80, 0xc8] {
            assert_eq!(class(octet), None, "{octet:#x}");
        }
    }

    #[test]
    fn a_mailbox_is_told_by_its_groups() {
        let waiting = |octet| DataCoding(octet).message_waiting();
        let voicemail = MessageWaiting {
            keep: false,
            active: true,
            kind: 0,
        };
        assert_eq!(waiting(0xc8), Some(voicemail));
        assert_eq!(
            waiting(0xd1),
            Some(MessageWaiting {
                keep: true,
                active: false,
                kind: 1
            })
        );
        assert_eq!(
            waiting(0xea),
            Some(MessageWaiting {
                keep: true,
                active: true,
                kind: 2
            })
        );
        assert_eq!(waiting(0xf0), None);
        assert_eq!(waiting(0x08), None);
    }
}
