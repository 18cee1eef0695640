//! What a `command_status` means for a message. SMPP 3.4 §5.1.3.

use matrix_smpp_codec::values::CommandStatus;

/// What an answer to `submit_sm` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The peer has it.
    Accepted,
    /// The peer asks to slow down: the link waits and the message keeps its place.
    Throttled,
    /// A temporary error of this message.
    Retry,
    /// Refused for good.
    Rejected,
}

/// How often a message with temporary errors is tried again. With waits that double from one second
/// this is about four minutes, after which people should rather hear that it failed.
pub const MAX_RETRIES: u32 = 8;

/// Judges the answer to a message that has been tried again `retries` times.
#[must_use]
pub fn verdict(status: CommandStatus, retries: u32) -> Verdict {
    match status {
        CommandStatus::ESME_ROK => Verdict::Accepted,
        CommandStatus::ESME_RTHROTTLED | CommandStatus::ESME_RMSGQFUL => Verdict::Throttled,
        CommandStatus::ESME_RSYSERR
        | CommandStatus::ESME_RX_T_APPN
        | CommandStatus::ESME_RSUBMITFAIL
        | CommandStatus::ESME_RINVBNDSTS
        | CommandStatus::ESME_RUNKNOWNERR
            if retries < MAX_RETRIES =>
        {
            Verdict::Retry
        }
        _ => Verdict::Rejected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_and_throttling_keep_the_message_however_often() {
        for status in [CommandStatus::ESME_RTHROTTLED, CommandStatus::ESME_RMSGQFUL] {
            assert_eq!(verdict(status, 1), Verdict::Throttled);
            assert_eq!(verdict(status, 1_000), Verdict::Throttled);
        }
    }

    #[test]
    fn a_temporary_error_is_tried_again_but_not_for_ever() {
        assert_eq!(verdict(CommandStatus::ESME_RSYSERR, 0), Verdict::Retry);
        assert_eq!(
            verdict(CommandStatus::ESME_RSYSERR, MAX_RETRIES),
            Verdict::Rejected
        );
    }

    #[test]
    fn what_the_standard_does_not_know_is_a_refusal() {
        assert_eq!(
            verdict(CommandStatus::ESME_RINVDSTADR, 1),
            Verdict::Rejected
        );
        assert_eq!(verdict(CommandStatus(0x0000_0400), 1), Verdict::Rejected);
    }
}
