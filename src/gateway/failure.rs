//! Why a message failed, in words that a person understands.

use matrix_smpp_codec::values::CommandStatus;

use super::message::Failure;
use super::model::MessageState;

/// The reason for a failure, as the rest of a sentence that begins with "because".
#[must_use]
pub fn reason(state: MessageState, failure: Option<&Failure>) -> String {
    match (state, failure) {
        (_, Some(Failure::Status(status))) => status_reason(CommandStatus(*status)),
        (_, Some(Failure::OptedOut)) => "the phone wants no more texts".to_owned(),
        (_, Some(Failure::Unsendable(why))) => format!("this gateway cannot send it: {why}"),
        (MessageState::Expired, _) => "the phone could not be reached in time".to_owned(),
        (MessageState::Lost, _) => {
            "the network never confirmed it; it may or may not have arrived".to_owned()
        }
        (MessageState::Rejected, Some(Failure::Receipt(code))) => {
            format!("the network refused it (code {code})")
        }
        (MessageState::Rejected, None) => "the network refused it".to_owned(),
        (_, Some(Failure::Receipt(code))) => {
            format!("the network could not deliver it (code {code})")
        }
        (_, None) => "the network could not deliver it".to_owned(),
    }
}

fn status_reason(status: CommandStatus) -> String {
    let words = match status {
        CommandStatus::ESME_RINVDSTADR
        | CommandStatus::ESME_RINVDSTTON
        | CommandStatus::ESME_RINVDSTNPI => "the number does not exist or cannot be texted",
        CommandStatus::ESME_RINVSRCADR
        | CommandStatus::ESME_RINVSRCTON
        | CommandStatus::ESME_RINVSRCNPI => "the network does not accept the sender's number",
        CommandStatus::ESME_RINVMSGLEN | CommandStatus::ESME_RINVPARLEN => {
            "the network found the message too long"
        }
        CommandStatus::ESME_RINVEXPIRY | CommandStatus::ESME_RINVSCHED => {
            "the network does not accept its time limit"
        }
        CommandStatus::ESME_RSUBMITFAIL | CommandStatus::ESME_RDELIVERYFAILURE => {
            "the network could not take it"
        }
        CommandStatus::ESME_RSYSERR | CommandStatus::ESME_RX_T_APPN => {
            "the network had an internal error"
        }
        CommandStatus::ESME_RINVSERTYP => "the network does not offer this service",
        _ => "the network refused it",
    };
    match status.name() {
        Some(name) => format!("{words} ({name})"),
        None => format!("{words} (status {:#010x})", status.0),
    }
}
