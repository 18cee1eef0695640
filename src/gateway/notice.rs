//! Everything the gateway says to people, in one place.

use matrix_smpp_config::Money;

use ruma::UserId;

use super::limits::{Hit, Limit, when};
use super::message::{Failure, MessageView, Refusal};
use super::model::{Account, MessageState};
use super::plan::Unplannable;
use super::{failure, number::NumberError};

/// Amounts as people read them: the number and the operator's currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Currency(pub String);

impl Currency {
    /// `0.045 EUR`.
    #[must_use]
    pub fn show(&self, amount: Money) -> String {
        format!("{amount} {}", self.0)
    }
}

/// The command for help in the form that is understood in every room.
const HELP: &str = "!sms help";

/// A message that the gateway could not plan.
#[must_use]
pub fn unplannable(why: &Unplannable, phone: &str) -> String {
    match why {
        Unplannable::InboundOnly => {
            format!("Not sent: {phone} can send texts but cannot receive any.")
        }
        Unplannable::NoRoute => format!("Not sent: no route leads to {phone}."),
        Unplannable::OwnNumber => {
            format!("Not sent: {phone} is one of this gateway's own numbers.")
        }
        Unplannable::NoAlphabet => format!(
            "Not sent to {phone}: the way there cannot carry all characters of the message. Please \
             send it with plain letters only."
        ),
        Unplannable::TooLong { segments, max } => format!(
            "Not sent to {phone}: the message would take {segments} text messages, and the limit \
             is {max}. Please send it in shorter pieces."
        ),
    }
}

/// A message that the store refused, to a room whose people need not know whose credit it is.
#[must_use]
pub fn relay_refused(why: &Refusal, phone: &str, currency: &Currency) -> String {
    match why {
        Refusal::NoCredit { cost, .. } => format!(
            "A text from another phone of this room was not sent to {phone}: it costs {}, which \
             the credit of whoever invited this phone does not cover.",
            currency.show(*cost),
        ),
        Refusal::Limited(hit) => format!(
            "A text from another phone of this room was not sent to {phone}: it would go over a limit \
             of this gateway against fraud. {}",
            again(hit),
        ),
        _ => refused(why, phone, currency),
    }
}

/// Added to the last notice of this kind within the hour.
#[must_use]
pub fn no_more_notices(words: &str) -> String {
    format!(
        "{words} What else you write here without credit is not sent either; I will not repeat this for an hour."
    )
}

/// Somebody writes in a room whose phones they did not invite, and pays.
#[must_use]
pub fn first_paid(phones: &str, cost: Money, currency: &Currency) -> String {
    format!(
        "What you write here is sent to {phones} as texts, which your credit pays for: {} for this \
         one. What should not be sent belongs in a room without phones. Say {HELP} to see how to \
         ask for prices and your credit.",
        currency.show(cost)
    )
}

/// More phones were invited than one person may invite.
#[must_use]
pub fn too_many_invites(phone: &str, most: usize) -> String {
    format!(
        "You have invited {most} phones within an hour, and this gateway allows no more. {phone} \
         and further ones stay out: take the invitation back and invite the phone again later."
    )
}

/// More rooms were asked for than one person may have made.
#[must_use]
pub fn too_many_rooms(phone: &str, most: usize) -> String {
    format!(
        "No room was opened for {phone}: I have opened rooms with {most} phones for you within an \
         hour, and open no more. Please try again later."
    )
}

/// A message that the store refused, to its writer, who would pay for it.
#[must_use]
pub fn refused(why: &Refusal, phone: &str, currency: &Currency) -> String {
    match why {
        Refusal::NoCredit { balance, cost } => format!(
            "Not sent to {phone}: this message costs {}, and your credit is {}. Ask your \
             administrator to top it up.",
            currency.show(*cost),
            currency.show(*balance),
        ),
        Refusal::PoolExhausted { .. } => format!(
            "Not sent to {phone}: every sender number is already in a conversation with this \
             phone. It becomes possible again some time after one of these conversations ends."
        ),
        Refusal::ConversationEnded => {
            format!("Not sent: the conversation with {phone} has ended. Invite the phone again.")
        }
        Refusal::QueueFull => format!(
            "Not sent to {phone}: too many texts wait in this gateway at the moment. Nothing was charged. Please send \
             it again later."
        ),
        Refusal::OptedOut => format!(
            "Not sent: {phone} has asked for no more texts. Nothing was charged. It may be texted again once it \
             texts START to the number that it knows."
        ),
        Refusal::Limited(hit) => limited(hit, phone, currency),
    }
}

/// A message that would go over a limit against pumped traffic, to its writer.
fn limited(hit: &Hit, phone: &str, currency: &Currency) -> String {
    let why = match hit.limit {
        Limit::SpendPerDay => {
            let most = Money::from_micros(hit.most).unwrap_or(Money::MAX);
            let most = currency.show(most);
            format!("with this message you would have spent more than {most} within 24 hours")
        }
        Limit::NewPhonesPerDay => {
            let most = hit.most;
            format!("nobody may begin with more than {most} new phones within 24 hours")
        }
        Limit::NewPhonesPerPrefix => {
            "too many new phones with numbers like this one were texted lately".to_owned()
        }
    };
    let again = again(hit);
    format!("Not sent to {phone}: {why}, which is a limit of this gateway against fraud. {again}")
}

/// When what a limit refused may go.
fn again(hit: &Hit) -> String {
    match hit.again {
        Some(at) => format!("It may go again from {} on; please send it then.", when(at)),
        None => "This message alone is more than the limit allows.".to_owned(),
    }
}

/// A message that failed after it had been accepted.
#[must_use]
pub fn failed(message: &MessageView, state: MessageState, phone: &str) -> String {
    let reason = failure::reason(state, message.failure.as_ref());
    let id = message.id;
    match state {
        MessageState::Lost => {
            format!("Delivery to {phone} is unknown: {reason}. (Message {id})")
        }
        _ => format!("Not delivered to {phone}: {reason}. (Message {id})"),
    }
}

/// A message whose receipt never came.
#[must_use]
pub fn no_receipt(phone: &str) -> String {
    format!("The network took this text and never said whether {phone} has it.")
}

/// A message of which a segment was sent again because its first answer never came.
#[must_use]
pub fn maybe_twice(phone: &str) -> String {
    format!("This may have reached {phone} twice: the network did not answer the first time.")
}

/// A relayed text of another phone that failed.
#[must_use]
pub fn relay_failed(message: &MessageView, state: MessageState, phone: &str) -> String {
    let reason = failure::reason(state, message.failure.as_ref());
    format!(
        "A text from another phone of this room did not reach {phone}: {reason}. (Message {})",
        message.id
    )
}

/// An invitation of something in our namespace that is no phone.
#[must_use]
pub fn misnamed(why: NumberError, meant: Option<&str>) -> String {
    match meant {
        Some(meant) => format!("This is not a phone number's name: {why}. Invite {meant} instead."),
        None => format!("This is not a phone number: {why}."),
    }
}

/// An invitation of a number that cannot be texted.
#[must_use]
pub fn unreachable(why: &Unplannable, phone: &str) -> String {
    match why {
        Unplannable::OwnNumber => format!("{phone} is one of this gateway's own numbers."),
        Unplannable::NoRoute => format!("This gateway has no route to {phone}."),
        Unplannable::InboundOnly | Unplannable::NoAlphabet | Unplannable::TooLong { .. } => {
            format!("{phone} cannot receive texts.")
        }
    }
}

/// The room is encrypted.
#[must_use]
pub fn encrypted(phone: &str) -> String {
    format!(
        "This room is encrypted, and this gateway cannot read encrypted messages, so nothing \
         said here can reach {phone}. Create a room with encryption turned off and invite the \
         phone there."
    )
}

/// The bot was invited to an encrypted room.
#[must_use]
pub fn encrypted_bot() -> String {
    "This room is encrypted, and I cannot read encrypted messages. Invite me to a room with \
     encryption turned off."
        .to_owned()
}

/// The bot's first words.
#[must_use]
pub fn greeting() -> String {
    format!("Hello! I answer for this gateway's phones. Say {HELP} to see what I understand.")
}

/// What the bot understands.
#[must_use]
pub fn help(prefix: &str, example_ghost: &str) -> String {
    format!(
        "To text a phone, invite its Matrix user to a room without encryption, for example \
         {example_ghost}, and write.\n\
         In this room, or after {prefix} in any other room with me or a phone in it, I understand:\n\
         help - this text\n\
         balance - your credit\n\
         price +44 7700 900123 - what a text to this number costs\n\
         text +44 7700 900123 hello - open a room with this phone and say hello\n\
         who - the phones of this room and the numbers they see"
    )
}

/// Words that the bot does not know.
#[must_use]
pub fn unknown_command(verb: &str) -> String {
    format!("I do not know \"{verb}\". Say {HELP} to see what I understand.")
}

/// A command that needs a number, without one.
#[must_use]
pub fn missing_number(verb: &str) -> String {
    format!("Say which phone, country code first: {verb} +44 7700 900123")
}

/// A number in a command that is none.
#[must_use]
pub fn bad_number(typed: &str, why: NumberError) -> String {
    if why == NumberError::Ambiguous {
        return format!(
            "I cannot tell where the number in \"{typed}\" ends. Put a colon after it. Nothing was \
             sent."
        );
    }
    format!("\"{typed}\" is not a number that can be texted: {why}.")
}

/// The writer's credit.
#[must_use]
pub fn balance(account: &Account, currency: &Currency) -> String {
    let balance = currency.show(account.balance);
    if account.reserved == Money::ZERO {
        return format!("Your credit is {balance}.");
    }
    let reserved = currency.show(account.reserved);
    format!("Your credit is {balance}. {reserved} more is held for texts on their way.")
}

/// What a text to a number costs.
#[must_use]
pub fn price(phone: &str, price: Money, currency: &Currency) -> String {
    format!(
        "A text to {phone} costs {} for each 160 characters (70 with emoji or letters outside the \
         Latin and Greek basics; a little less in each part of a longer text).",
        currency.show(price)
    )
}

/// The phones of a room and what they see.
#[must_use]
pub fn who(lines: &[(String, Option<String>)]) -> String {
    if lines.is_empty() {
        return "No phone is in this room.".to_owned();
    }
    let line = |(phone, sender): &(String, Option<String>)| match sender {
        Some(sender) => format!("{phone} sees {sender}"),
        None => format!("{phone} has not been texted yet"),
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The room that the `text` command opened.
#[must_use]
pub fn room_opened(phone: &str) -> String {
    format!("I invited you to a room with {phone}.")
}

/// The room that the `text` command found.
#[must_use]
pub fn room_known(phone: &str) -> String {
    format!("You have a room with {phone}; it goes on there.")
}

/// A text that was given with the `text` command, in the room of its conversation.
#[must_use]
pub fn first_text(text: &str) -> String {
    format!("Your text: {text}")
}

/// Something else than words, said to the bot.
#[must_use]
pub fn not_words() -> String {
    format!("I only understand words. Say {HELP} to see which.")
}

/// The conversation with a phone in this room has ended.
#[must_use]
pub fn ended(phone: &str) -> String {
    format!(
        "The conversation with {phone} in this room has ended. Invite the phone again to go on."
    )
}

/// The direct conversation goes on in another room.
#[must_use]
pub fn moved(phone: &str) -> String {
    format!("The conversation with {phone} continues in your newer room; this one has ended.")
}

/// The same, said by the bot because the older room cannot be spoken to.
#[must_use]
pub fn moved_apart(phone: &str) -> String {
    format!("The conversation with {phone} continues in your newer room; the older one has ended.")
}

/// A phone wants no more texts.
#[must_use]
pub fn opted_out(phone: &str, number: Option<&str>) -> String {
    let from = number.unwrap_or("this gateway");
    format!(
        "{phone} has asked for no more texts from {from}. What you write is not sent to it, and not \
         charged, until it texts START."
    )
}

/// A phone wants texts again.
#[must_use]
pub fn opted_in(phone: &str) -> String {
    format!("{phone} may be texted again.")
}

/// A message that was taken back before it left, and not by its writer.
#[must_use]
pub fn not_left(message: &MessageView, phone: &str, ended: bool) -> String {
    let why = if message.failure == Some(Failure::OptedOut) {
        "it has asked for no more texts"
    } else if ended {
        "the conversation in this room ended first"
    } else {
        "it was taken back before it left"
    };
    let charge = if message.segments == 1 {
        "Nothing was charged"
    } else {
        "What had not left was not charged"
    };
    format!(
        "Not sent to {phone}: {why}. {charge}. (Message {})",
        message.id
    )
}

/// Messages of one person that were taken back together, said by the bot.
#[must_use]
pub fn not_left_apart(message: &MessageView, phone: &str) -> String {
    format!(
        "What you wrote to {phone} and had not left yet when the conversation ended was not sent, \
         and was not charged. (Message {})",
        message.id
    )
}

/// Texts of other phones of a room that were taken back together, said by the bot.
#[must_use]
pub fn relay_not_left(message: &MessageView, phone: &str) -> String {
    format!(
        "Texts of other phones that had not left for {phone} when its conversation ended were not \
         sent, and were not charged. (Message {})",
        message.id
    )
}

/// The room of a conversation was replaced by one that the phone may not enter uninvited.
#[must_use]
pub fn room_replaced(phone: &str, ghost: &UserId) -> String {
    format!(
        "The room of your conversation with {phone} was replaced by a new one. Invite {ghost} \
         there, and the conversation goes on with the same number."
    )
}

/// A message in a room that is not encrypted, which only its sender's device can read.
#[must_use]
pub fn unreadable() -> String {
    "That message is encrypted though this room is not, so nothing was sent. Send it again \
     without encryption."
        .to_owned()
}

/// An edit of something that is on its way or arrived.
#[must_use]
pub fn too_late_to_edit(phones: &str) -> String {
    format!("The edit was not sent: the first version had already gone out to {phones}.")
}

/// An edit of something that never went out.
#[must_use]
pub fn nothing_to_edit(phones: &str) -> String {
    format!(
        "The edit was not sent: the first version did not go out to {phones} either. To send it, \
         write it as a new message."
    )
}

/// A redaction of something that is on its way or arrived.
#[must_use]
pub fn too_late_to_redact(phones: &str) -> String {
    format!("Deleted here only: the text had already been sent to {phones}.")
}

/// A redaction that came in time.
#[must_use]
pub fn cancelled(phones: &str) -> String {
    format!("Cancelled: the text had not been sent to {phones} yet, and nothing was charged.")
}

/// Something that a person did and the gateway could not handle.
#[must_use]
pub fn event_set_aside(report: &str) -> String {
    format!(
        "Something went wrong inside the gateway: this may have had no effect, and a text may not \
         have been sent. Your administrator can find out why and try again. (Report {report})"
    )
}

/// The same, where the person is told in another room.
#[must_use]
pub fn event_set_aside_apart(report: &str) -> String {
    format!(
        "Something went wrong inside the gateway: what you last did in a room with a phone may have \
         had no effect, and a text may not have been sent. Your administrator can find out why and \
         try again. (Report {report})"
    )
}

/// A text of a phone that could not be shown.
#[must_use]
pub fn text_set_aside(phone: &str, report: &str) -> String {
    format!(
        "A text from {phone} came and could not be shown. Your administrator can find out why and \
         try again. (Report {report})"
    )
}

/// Words that could not be said where they belong.
#[must_use]
pub fn reported(words: &str, report: &str) -> String {
    format!("{words} (Report {report})")
}

/// A reaction of a Matrix user.
#[must_use]
pub fn reaction() -> String {
    "Reactions are not sent to phones.".to_owned()
}

/// A text of a phone without any words in it.
#[must_use]
pub fn empty_text() -> String {
    "(an empty text)".to_owned()
}

/// What a room could not hear about a message to a phone, said by the bot in a room of its own.
#[must_use]
pub fn apart(phone: &str, words: &str) -> String {
    if words.contains(phone) {
        return words.to_owned();
    }
    format!("To {phone}: {words}")
}

/// A text that came for a conversation that has ended, said in the bot's own room.
#[must_use]
pub fn late_text(phone: &str, answerable: bool, text: &str) -> String {
    let how = if answerable {
        format!(" (say \"text {phone}\" to go on)")
    } else {
        String::new()
    };
    format!("{phone} texted after your conversation ended{how}: {text}")
}

/// Added to a text of which parts never came.
#[must_use]
pub fn incomplete(missing: u8) -> String {
    let parts = if missing == 1 { "part" } else { "parts" };
    format!("[{missing} {parts} of this text never arrived]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::command;

    #[test]
    fn the_command_for_help_is_understood_in_every_room() {
        for own_room in [true, false] {
            assert_eq!(command::parse(HELP, own_room), Some(command::Command::Help));
        }
        assert!(greeting().contains(HELP) && unknown_command("dance").contains(HELP));
    }

    #[test]
    fn a_late_text_says_how_to_go_on_where_that_is_possible() {
        let late = late_text("+44 7700 900123", true, "hello");
        assert!(late.contains("say \"text +44 7700 900123\"") && late.ends_with(": hello"));
        assert!(!late_text("ACME (unverified)", false, "hello").contains("say"));
    }

    #[test]
    fn what_a_room_could_not_hear_names_its_phone_once() {
        let phone = "+44 7700 900123";
        let named = apart(phone, "The message has no text, so nothing was sent.");
        assert_eq!(named.matches(phone).count(), 1, "{named}");
        let words = format!("Not sent: no route leads to {phone}.");
        assert_eq!(apart(phone, &words), words);
    }

    #[test]
    fn a_refusal_for_credit_says_what_it_would_cost_and_what_is_left() {
        let euro = Currency("EUR".to_owned());
        let why = Refusal::NoCredit {
            balance: "0.01".parse().expect("an amount"),
            cost: "0.135".parse().expect("an amount"),
        };
        let words = refused(&why, "+44 7700 900123", &euro);
        assert!(
            words.contains("0.135 EUR") && words.contains("0.01 EUR"),
            "{words}"
        );
        assert!(words.contains("+44 7700 900123"), "{words}");
    }
}
