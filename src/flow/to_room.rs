//! From a phone to its room: a whole SMS goes to the Matrix users of the room and, as a message of
//! its own, to each of the room's other phones.

use ruma::OwnedUserId;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::inbox::Handled;
use super::lanes::{self, Doom, LaneWork};
use super::to_phone::{self, Sent};
use super::{Gateway, Trouble, aside};
use crate::gateway::model::{Conversation, ConversationId, Handset, MessageId, SmsId, Source};
use crate::gateway::opt_out::Wish;
use crate::gateway::outgoing::{self, Speaker};
use crate::gateway::{notice, number};
use crate::store::{
    Ending, Lane, NewOutbox, OpenConversation, OutboxItem, RoomView, Sms, SmsRecipient,
};

/// Hands on what phones sent, until `stop`.
pub async fn run(gateway: Gateway, stop: CancellationToken) {
    let (concurrency, retry) = (gateway.settings.limits.inbox_concurrency, gateway.retry());
    let wake = gateway.wakes.sms.clone();
    lanes::run(Texts(gateway), concurrency, retry, wake, stop).await;
}

#[derive(Clone)]
pub(super) struct Texts(pub(super) Gateway);

impl LaneWork for Texts {
    type Item = Sms;
    type Lane = (String, Handset);
    type Place = SmsId;

    const START: SmsId = SmsId(0);

    fn lane(sms: &Sms) -> Self::Lane {
        (sms.to.clone(), sms.from.clone())
    }

    fn place(sms: &Sms) -> SmsId {
        sms.id
    }

    async fn fetch(&self, after: SmsId, limit: usize) -> Result<Vec<Sms>, Trouble> {
        Ok(self.0.store.pending_sms(after, limit).await?)
    }

    async fn attend(&self, sms: &Sms) -> Result<(), Trouble> {
        let handled = hand_on(&self.0, sms).await?;
        self.0.metrics.texts.inc();
        match handled {
            Handled::Done => Ok(self.0.store.finish_sms(sms.id, Ending::Done).await?),
            Handled::Ended => Ok(()),
        }
    }

    async fn set_aside(&self, sms: &Sms, doom: Doom) -> Result<(), Trouble> {
        let ending = aside::sms(&self.0, sms, doom).await?;
        self.0.store.finish_sms(sms.id, ending).await?;
        self.0.set_aside();
        Ok(())
    }
}

async fn hand_on(gateway: &Gateway, sms: &Sms) -> Result<Handled, Trouble> {
    match &sms.recipient {
        SmsRecipient::Conversation(id) => {
            let conversation = conversation(gateway, *id).await?;
            match successor(gateway, sms, &conversation).await? {
                Some(successor) => into_room(gateway, sms, &successor).await,
                None => tell_former_owner(gateway, sms, &conversation).await,
            }
        }
        SmsRecipient::Former(id) => {
            let conversation = conversation(gateway, *id).await?;
            tell_former_owner(gateway, sms, &conversation).await
        }
        SmsRecipient::Owner(owner) => {
            let conversation = first_contact(gateway, sms, owner.clone()).await?;
            into_room(gateway, sms, &conversation).await
        }
    }
}

async fn conversation(gateway: &Gateway, id: ConversationId) -> Result<Conversation, Trouble> {
    let found = gateway.store.conversation(id).await?;
    found.ok_or_else(|| Trouble::Never(format!("conversation {id} is not in the store")))
}

/// The conversation that goes on with what was texted to one that may have ended meanwhile: itself,
/// or the same owner's that has its number now. Anybody else's must not hear it.
pub(super) async fn successor(
    gateway: &Gateway,
    sms: &Sms,
    texted: &Conversation,
) -> Result<Option<Conversation>, Trouble> {
    if texted.active {
        return Ok(Some(texted.clone()));
    }
    let leases = gateway.store.leases().await?;
    let Some(lease) = leases.iter().find(|lease| {
        lease.cooling_until.is_none() && lease.handset == sms.from && lease.vmn.as_str() == sms.to
    }) else {
        return Ok(None);
    };
    let holder = conversation(gateway, lease.conversation).await?;
    Ok(Some(holder).filter(|one| one.active && one.owner == texted.owner))
}

/// A phone texts a dedicated number: its owner gets a direct conversation with it.
async fn first_contact(
    gateway: &Gateway,
    sms: &Sms,
    owner: OwnedUserId,
) -> Result<Conversation, Trouble> {
    let home = gateway.home_of(&owner)?;
    let ghost = home
        .names
        .ghost(&sms.from)
        .ok_or_else(|| Trouble::Never("the sender's name is too long".to_owned()))?;
    let request = OpenConversation {
        homeserver: home.names.server().to_owned(),
        room: None,
        handset: sms.from.clone(),
        ghost,
        owner,
        direct: true,
        originator: Some(number::originator(&sms.to)),
        now: gateway.clock.now(),
    };
    let opened = gateway.store.open_conversation(request).await?;
    info!(conversation = %opened.conversation.id, "a phone made first contact");
    Ok(opened.conversation)
}

/// The room's people see it from the ghost; the room's other phones get it as a text.
async fn into_room(
    gateway: &Gateway,
    sms: &Sms,
    conversation: &Conversation,
) -> Result<Handled, Trouble> {
    let entry = NewOutbox {
        key: format!("sms:{}", sms.id),
        lane: Lane::Conversation(conversation.id),
        item: OutboxItem::SmsText {
            sms: sms.id,
            conversation: conversation.id,
        },
    };
    let room = match &conversation.room {
        Some(room) => gateway.store.room(&conversation.homeserver, room).await?,
        None => None,
    };
    let room = room.filter(|room| has_others(room, conversation));
    if room.is_none() && sms.wish.is_none() {
        gateway.hand_on(sms.id, entry).await?;
        return Ok(Handled::Ended);
    }
    gateway.enqueue(entry).await?;
    if let Some(wish) = sms.wish {
        tell_wish(gateway, sms, conversation, wish).await?;
    }
    if let Some(room) = room {
        relay(gateway, sms, conversation, &room).await?;
    }
    Ok(Handled::Done)
}

/// Says in the room what it means that a phone wants no more texts, or wants them again.
async fn tell_wish(
    gateway: &Gateway,
    sms: &Sms,
    conversation: &Conversation,
    wish: Wish,
) -> Result<(), Trouble> {
    let phone = number::display(&sms.from);
    let text = match wish {
        Wish::Stop => notice::opted_out(
            &phone,
            Some(&number::display_originator(&number::originator(&sms.to))),
        ),
        Wish::StopAll => notice::opted_out(&phone, None),
        Wish::Start | Wish::StartAll => notice::opted_in(&phone),
    };
    let homeserver = conversation.homeserver.clone();
    let item = match conversation.room.clone() {
        Some(room) => OutboxItem::Notice {
            homeserver,
            room,
            sender: conversation.ghost.clone(),
            text,
            reply_to: None,
            to: Some(conversation.owner.clone()),
        },
        None => OutboxItem::TellOwner {
            homeserver,
            owner: conversation.owner.clone(),
            text,
        },
    };
    let entry = NewOutbox {
        key: format!("wish:{}", sms.id),
        lane: Lane::Conversation(conversation.id),
        item,
    };
    gateway.enqueue(entry).await
}

/// Whether other phones are in a phone's room.
fn has_others(room: &RoomView, of: &Conversation) -> bool {
    let mut others = room.conversations.iter();
    others.any(|other| other.handset != of.handset)
}

/// One message for each other phone of the room, paid by the owner of that phone's conversation.
async fn relay(
    gateway: &Gateway,
    sms: &Sms,
    from: &Conversation,
    room: &RoomView,
) -> Result<(), Trouble> {
    // From here on it cannot be withdrawn.
    let Some(sms) = gateway.store.say_sms(sms.id, gateway.clock.now()).await? else {
        return Ok(());
    };
    let name = number::display(&from.handset);
    let speaker = Speaker {
        name: &name,
        ambiguous: to_phone::is_ambiguous(gateway, room),
    };
    let text = outgoing::spoken(&body(&sms), speaker);
    for other in room
        .conversations
        .iter()
        .filter(|other| other.handset != from.handset)
    {
        let source = Source::Sms { sms: sms.id };
        let id = MessageId::of(&source, other.id);
        let sent = to_phone::send(gateway, source, other, other.owner.clone(), &text).await?;
        if let Sent::Refused(refused) = sent {
            let words = refused.to_others(gateway);
            tell_relay_refused(gateway, other, id, words).await?;
        }
    }
    Ok(())
}

async fn tell_relay_refused(
    gateway: &Gateway,
    other: &Conversation,
    id: MessageId,
    text: String,
) -> Result<(), Trouble> {
    let Some(room) = other.room.clone() else {
        return Ok(());
    };
    let entry = NewOutbox {
        key: format!("relay-refused:{id}"),
        lane: Lane::Conversation(other.id),
        item: OutboxItem::Notice {
            homeserver: other.homeserver.clone(),
            room,
            sender: other.ghost.clone(),
            text,
            reply_to: None,
            to: Some(other.owner.clone()),
        },
    };
    gateway.enqueue(entry).await
}

/// A text on a lease that is cooling off goes to the old owner, from the bot, and to nobody else.
async fn tell_former_owner(
    gateway: &Gateway,
    sms: &Sms,
    former: &Conversation,
) -> Result<Handled, Trouble> {
    let Some(sms) = gateway.store.say_sms(sms.id, gateway.clock.now()).await? else {
        return Ok(Handled::Done);
    };
    let text = late_words(&sms);
    let item = OutboxItem::TellOwner {
        homeserver: former.homeserver.clone(),
        owner: former.owner.clone(),
        text,
    };
    let key = format!("sms:{}", sms.id);
    let entry = NewOutbox {
        key,
        lane: Lane::Conversation(former.id),
        item,
    };
    gateway.hand_on(sms.id, entry).await?;
    Ok(Handled::Ended)
}

/// A text as the owner of a conversation that has ended hears it.
pub(super) fn late_words(sms: &Sms) -> String {
    let answerable = matches!(sms.from, Handset::Number(_));
    notice::late_text(&number::display(&sms.from), answerable, &body(sms))
}

/// The text as rooms and other phones see it.
pub(super) fn body(sms: &Sms) -> String {
    match sms.missing_parts {
        0 if sms.text.trim().is_empty() => notice::empty_text(),
        0 => sms.text.clone(),
        missing => format!("{} {}", sms.text, notice::incomplete(missing)),
    }
}
