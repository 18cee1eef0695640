//! What is on its way to an account, and what its answer is for.

use std::borrow::Cow;
use std::sync::Arc;

use matrix_smpp_codec::{Body, CommandStatus};
use tokio::sync::oneshot;

use crate::sim::receipts::{Dates, Notice};

/// What stands where the status of an answer would, when none came.
pub(crate) const UNANSWERED: &str = "unanswered";

/// One `deliver_sm` or `data_sm` on its way to an account.
pub(crate) struct Outgoing {
    pub(crate) account: Arc<str>,
    pub(crate) content: Content,
    /// The bind it must go over; otherwise the account's binds take turns.
    pub(crate) bind: Option<u64>,
    pub(crate) purpose: Purpose,
}

/// What it says. Clones share it.
#[derive(Clone)]
pub(crate) enum Content {
    /// What became of a message; put in words when it leaves.
    Notice(Notice),
    /// A segment of what a phone wrote.
    Segment(Arc<Body>),
}

/// Why it goes out, and so who wants to know of its answer.
pub(crate) enum Purpose {
    /// The receipt of the message with this number of arrival.
    Receipt { arrival: u64 },
    /// A segment of what a phone wrote.
    Segment {
        /// Who wants to know the status of the answer.
        answer: Option<oneshot::Sender<String>>,
        /// Sent again until it is answered for good.
        redeliver: bool,
    },
}

/// What became of a receipt, for the record of its message.
pub(crate) struct ReceiptNews {
    pub(crate) arrival: u64,
    pub(crate) status: Cow<'static, str>,
}

impl Outgoing {
    /// What became of a message, on its way to the message's sender.
    pub(crate) fn notice(notice: Notice) -> Self {
        let parcel = &notice.parcel;
        Self {
            account: Arc::clone(&parcel.system_id),
            bind: None,
            purpose: Purpose::Receipt {
                arrival: parcel.arrival,
            },
            content: Content::Notice(notice),
        }
    }

    /// Whether nobody waits for it any more.
    pub(crate) fn abandoned(&self) -> bool {
        matches!(&self.purpose, Purpose::Segment { answer: Some(answer), .. } if answer.is_closed())
    }

    /// Whether it goes out once more after an answer that is not for good.
    pub(crate) const fn goes_again(&self) -> bool {
        !matches!(
            self.purpose,
            Purpose::Segment {
                redeliver: false,
                ..
            }
        )
    }

    /// Of a receipt, what is to be noted of an answer that is not for good.
    pub(crate) fn news(&self, status: Cow<'static, str>) -> Option<ReceiptNews> {
        match self.purpose {
            Purpose::Receipt { arrival } => Some(ReceiptNews { arrival, status }),
            Purpose::Segment { .. } => None,
        }
    }

    /// It is over: tells who waits for the answer; of a receipt, what is to be noted.
    pub(crate) fn tell(self, status: Cow<'static, str>) -> Option<ReceiptNews> {
        match self.purpose {
            Purpose::Receipt { arrival } => Some(ReceiptNews { arrival, status }),
            Purpose::Segment { answer, .. } => {
                if let Some(answer) = answer {
                    // Nobody listens any more when the phone's request was given up.
                    drop(answer.send(status.into_owned()));
                }
                None
            }
        }
    }
}

impl Content {
    /// The PDU that says it.
    pub(crate) fn body(self, dates: &mut Dates) -> Body {
        match self {
            Self::Notice(notice) => Body::DeliverSm(notice.body(dates)),
            Self::Segment(body) => Arc::unwrap_or_clone(body),
        }
    }
}

/// Whether the same may be taken later.
pub(crate) fn is_temporary(status: CommandStatus) -> bool {
    matches!(
        status,
        CommandStatus::ESME_RSYSERR
            | CommandStatus::ESME_RMSGQFUL
            | CommandStatus::ESME_RTHROTTLED
            | CommandStatus::ESME_RX_T_APPN
    )
}
