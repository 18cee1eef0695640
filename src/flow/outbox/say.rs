//! What the entries of the outbox say, and where.

use ruma::{EventId, ServerName, UserId};

use super::super::voice::Voice;
use super::super::{Gateway, Trouble, membership, portal, receipt, to_room};
use crate::gateway::model::ConversationId;
use crate::gateway::{content, notice, number};
use crate::store::{Lane, OutboxEntry, OutboxItem, Sms};

/// Does what an entry asks for.
pub(super) async fn tell(gateway: &Gateway, entry: &OutboxEntry) -> Result<(), Trouble> {
    let voice = Voice::of(gateway, entry);
    match &entry.item {
        OutboxItem::SmsText { sms, conversation } => {
            let said = match &entry.sms {
                Some(sms) => Some(sms.clone()),
                None => gateway.store.say_sms(*sms, gateway.clock.now()).await?,
            };
            match said {
                Some(sms) => text(gateway, &voice, &sms, *conversation).await,
                // Withdrawn by who submitted it.
                None => Ok(()),
            }
        }
        OutboxItem::MessageNews { state, .. } => match &entry.message {
            Some(message) => receipt::show(gateway, &voice, message, *state).await,
            None => Ok(()),
        },
        OutboxItem::Refused {
            conversation,
            event,
            text,
            to,
            wordless,
        } => {
            let words = Words {
                text,
                to: to.as_deref(),
                wordless: *wordless,
            };
            refused(gateway, &voice, *conversation, event, words).await
        }
        OutboxItem::Notice {
            homeserver,
            room,
            sender,
            text,
            reply_to,
            to,
        } => {
            let notice = content::notice(text, reply_to.as_deref());
            let heard = voice
                .send(homeserver, sender, room, "m.room.message", &notice)
                .await?;
            let Some(person) = to.as_deref().filter(|_| !heard) else {
                return Ok(());
            };
            let lane = Lane::Room(homeserver.clone(), room.clone());
            voice
                .tell_apart(lane, homeserver, person, text.clone())
                .await
        }
        OutboxItem::Moved { conversation } => moved(gateway, &voice, *conversation).await,
        OutboxItem::TellOwner {
            homeserver,
            owner,
            text,
        } => tell_owner(gateway, &voice, homeserver, owner, text).await,
    }
}

/// What is said of a refusal.
struct Words<'a> {
    text: &'a str,
    to: Option<&'a UserId>,
    wordless: bool,
}

/// A refusal: a notice in reply and the status event, or words of the bot to the writer.
async fn refused(
    gateway: &Gateway,
    voice: &Voice<'_>,
    conversation: ConversationId,
    event: &EventId,
    words: Words<'_>,
) -> Result<(), Trouble> {
    let Some(conversation) = gateway.store.conversation(conversation).await? else {
        return Ok(());
    };
    let notice = content::notice(words.text, Some(event));
    if words.wordless || voice.say(&conversation, "m.room.message", &notice).await? {
        let network = content::network(&conversation);
        let status = content::refused_status(event, &network, words.text);
        let shown = voice.say(&conversation, content::STATUS, &status).await;
        return shown.map(drop);
    }
    let Some(writer) = words.to else {
        return Ok(());
    };
    let lane = Lane::Conversation(conversation.id);
    let text = notice::apart(&number::display(&conversation.handset), words.text);
    let homeserver = &conversation.homeserver;
    voice.tell_apart(lane, homeserver, writer, text).await
}

/// An inbound SMS: the room is made ready, then the ghost speaks. A room that turns out to be gone
/// is replaced by a new one.
async fn text(
    gateway: &Gateway,
    voice: &Voice<'_>,
    sms: &Sms,
    conversation: ConversationId,
) -> Result<(), Trouble> {
    let Some(texted) = gateway.store.conversation(conversation).await? else {
        return Ok(());
    };
    let Some(conversation) = to_room::successor(gateway, sms, &texted).await? else {
        let words = to_room::late_words(sms);
        return tell_owner(gateway, voice, &texted.homeserver, &texted.owner, &words).await;
    };
    let body = content::text(&to_room::body(sms));
    let (homeserver, ghost) = (&conversation.homeserver, &conversation.ghost);
    let room = portal::ready(gateway, &conversation).await?;
    if voice.try_send(homeserver, ghost, &room, &body).await? {
        return Ok(());
    }
    let room = portal::replace(gateway, &conversation).await?;
    if voice.try_send(homeserver, ghost, &room, &body).await? {
        return Ok(());
    }
    Err(Trouble::Never(
        "the ghost may not speak in its own room".to_owned(),
    ))
}

/// A direct conversation goes on in a newer room: the old one is told, and the ghost leaves it.
async fn moved(
    gateway: &Gateway,
    voice: &Voice<'_>,
    conversation: ConversationId,
) -> Result<(), Trouble> {
    let Some(old) = gateway.store.conversation(conversation).await? else {
        return Ok(());
    };
    let Some(room) = old.room.as_ref().filter(|_| !old.active) else {
        return Ok(());
    };
    let words = notice::moved(&number::display(&old.handset));
    let farewell = content::notice(&words, None);
    if !voice.say(&old, "m.room.message", &farewell).await? {
        let words = notice::moved_apart(&number::display(&old.handset));
        let lane = Lane::Conversation(old.id);
        voice
            .tell_apart(lane, &old.homeserver, &old.owner, words)
            .await?;
    }
    let home = gateway.connected(&old.homeserver)?;
    membership::leave(home, &old.ghost, room, &words).await
}

/// Says something in the room that the gateway made for the bot and the owner.
async fn tell_owner(
    gateway: &Gateway,
    voice: &Voice<'_>,
    homeserver: &ServerName,
    owner: &UserId,
    text: &str,
) -> Result<(), Trouble> {
    let home = gateway.connected(homeserver)?;
    let bot = home.names.bot();
    gateway
        .ghosts
        .ensure(&*home.api, bot, || {
            gateway.settings.gateway.public_name.clone()
        })
        .await?;
    let body = content::notice(text, None);
    let room = portal::bots_room(gateway, home, owner, None).await?;
    if voice.try_send(homeserver, bot, &room, &body).await? {
        return Ok(());
    }
    let room = portal::bots_room(gateway, home, owner, Some(&room)).await?;
    if voice.try_send(homeserver, bot, &room, &body).await? {
        return Ok(());
    }
    Err(Trouble::Never(
        "the bot may not speak in its own room".to_owned(),
    ))
}
