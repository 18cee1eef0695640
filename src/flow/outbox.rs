//! The worker of what homeservers must hear: one lane a conversation or room. Every send carries a
//! transaction id made of its outbox entry, so that a repeat is the same event.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ruma::{EventId, ServerName, UserId};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::lanes::Doom;
use super::voice::Voice;
use super::{Gateway, Trouble, aside, membership, portal, receipt, to_room};
use crate::gateway::model::{ConversationId, SmsId};
use crate::gateway::{content, notice, number};
use crate::store::{AsideId, Ending, Lane, OutboxEntry, OutboxItem};

/// Tells homeservers what they must hear, until `stop`.
pub async fn run(gateway: Gateway, stop: CancellationToken) {
    let mut worker = Worker {
        gateway,
        tasks: JoinSet::new(),
        running: HashMap::new(),
    };
    loop {
        let pause = worker.start().await;
        let wake = worker.gateway.wakes.outbox.clone();
        tokio::select! {
            () = stop.cancelled() => return,
            () = wake.notified() => {}
            Some(ended) = worker.tasks.join_next_with_id() => worker.end_all(ended),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// The longest that the worker sleeps without looking.
const LOOK: Duration = Duration::from_mins(1);

struct Worker {
    gateway: Gateway,
    tasks: JoinSet<()>,
    running: HashMap<Id, Doing>,
}

/// An entry that is being done, or set aside.
struct Doing {
    entry: OutboxEntry,
    doomed: bool,
}

impl Worker {
    /// Starts what is due and fits; tells how long nothing more will be.
    async fn start(&mut self) -> Duration {
        let room = self
            .gateway
            .settings
            .limits
            .outbox_concurrency
            .saturating_sub(self.tasks.len());
        if room == 0 {
            return LOOK;
        }
        let store = Arc::clone(&self.gateway.store);
        match store
            .due_outbox(self.gateway.clock.now(), room, &self.busy())
            .await
        {
            Ok(entries) => {
                let full = entries.len() == room;
                for entry in entries {
                    self.spawn(entry);
                }
                if full {
                    return LOOK;
                }
            }
            Err(error) => {
                warn!(%error, "cannot read the outbox");
                return self.gateway.settings.limits.retry_first;
            }
        }
        match store.next_outbox_due(&self.busy()).await {
            Ok(Some(at)) => self
                .gateway
                .clock
                .until(at)
                .clamp(Duration::from_millis(10), LOOK),
            Ok(None) | Err(_) => LOOK,
        }
    }

    fn busy(&self) -> Vec<String> {
        let doing = self.running.values();
        doing.map(|doing| doing.entry.lane.clone()).collect()
    }

    fn spawn(&mut self, entry: OutboxEntry) {
        let (gateway, one) = (self.gateway.clone(), entry.clone());
        let pause = self.gateway.settings.limits.retry_first;
        let task = self.tasks.spawn(async move {
            if !attend(gateway, one).await {
                // Its lane is busy for so long, and no other.
                tokio::time::sleep(pause).await;
            }
        });
        let doomed = false;
        self.running.insert(task.id(), Doing { entry, doomed });
    }

    /// Notes this end and every other that has come, so that one look into the store serves them all.
    fn end_all(&mut self, first: Result<(Id, ()), JoinError>) {
        let mut next = Some(first);
        while let Some(ended) = next {
            self.end(&ended);
            next = self.tasks.try_join_next_with_id();
        }
    }

    fn end(&mut self, ended: &Result<(Id, ()), JoinError>) {
        let (task, panicked) = match ended {
            Ok((task, ())) => (*task, false),
            Err(error) => (error.id(), error.is_panic()),
        };
        let Some(Doing { entry, doomed }) = self.running.remove(&task) else {
            return;
        };
        if panicked {
            error!("an outbox entry panicked and is set aside");
            self.doom(entry, doomed);
        }
    }

    /// Sets an entry aside that has panicked; in silence where that panicked too.
    fn doom(&mut self, entry: OutboxEntry, silent: bool) {
        let (gateway, doomed) = (self.gateway.clone(), entry.clone());
        let doom = Doom {
            why: "it made the gateway panic".to_owned(),
            silent,
        };
        let pause = self.gateway.settings.limits.retry_first;
        let task = self.tasks.spawn(async move {
            if !set_aside(&gateway, &doomed, doom).await {
                tokio::time::sleep(pause).await;
            }
        });
        let doomed = true;
        self.running.insert(task.id(), Doing { entry, doomed });
    }
}

/// Does one entry and ends it: done, put off or set aside. False where the store did not note the
/// end, so that the entry is due again.
pub(super) async fn attend(gateway: Gateway, entry: OutboxEntry) -> bool {
    let done = match tell(&gateway, &entry).await {
        Ok(()) => {
            gateway.heard_of_a_homeserver().await;
            let done = gateway.store.finish_outbox(entry.id, Ending::Done).await;
            ring_accounts(&gateway, &entry.item);
            done
        }
        Err(Trouble::Later { wish, why }) => {
            if wish.is_none() {
                gateway.wakes.unanswered.store(true, Ordering::Relaxed);
            }
            warn!(
                why,
                id = %AsideId::Outbox(entry.id),
                attempts = entry.attempts,
                "the homeserver will hear it later"
            );
            let at = gateway
                .clock
                .now()
                .after(gateway.retry().wait(entry.attempts, wish));
            gateway.store.postpone_outbox(entry.id, at, &why).await
        }
        Err(Trouble::Never(why)) => {
            error!(why, "an outbox entry is set aside");
            let silent = false;
            return set_aside(&gateway, &entry, Doom { why, silent }).await;
        }
    };
    if let Err(error) = done {
        warn!(%error, "cannot end an outbox entry; it will be repeated");
        return false;
    }
    true
}

/// An SMS that was said may be one whose account is owed a receipt now.
fn ring_accounts(gateway: &Gateway, said: &OutboxItem) {
    if let OutboxItem::SmsText { .. } = said {
        gateway.wakes.groups.ring_accounts();
    }
}

/// False where the store did not note it.
async fn set_aside(gateway: &Gateway, entry: &OutboxEntry, doom: Doom) -> bool {
    match try_set_aside(gateway, entry, doom).await {
        Ok(()) => gateway.set_aside(),
        Err(trouble) => {
            warn!(%trouble, "cannot set an outbox entry aside; it will be repeated");
            return false;
        }
    }
    true
}

async fn try_set_aside(gateway: &Gateway, entry: &OutboxEntry, doom: Doom) -> Result<(), Trouble> {
    let ending = aside::entry(gateway, entry, doom).await?;
    Ok(gateway.store.finish_outbox(entry.id, ending).await?)
}

/// Does what an entry asks for.
async fn tell(gateway: &Gateway, entry: &OutboxEntry) -> Result<(), Trouble> {
    let voice = Voice::of(gateway, entry);
    match &entry.item {
        OutboxItem::SmsText { sms, conversation } => {
            text(gateway, &voice, *sms, *conversation).await
        }
        OutboxItem::MessageNews { message, state } => {
            receipt::show(gateway, &voice, *message, *state).await
        }
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
    sms: SmsId,
    conversation: ConversationId,
) -> Result<(), Trouble> {
    let Some(texted) = gateway.store.conversation(conversation).await? else {
        return Ok(());
    };
    // Withdrawn by who submitted it, where there is none.
    let Some(sms) = gateway.store.say_sms(sms, gateway.clock.now()).await? else {
        return Ok(());
    };
    let Some(conversation) = to_room::successor(gateway, &sms, &texted).await? else {
        let words = to_room::late_words(&sms);
        return tell_owner(gateway, voice, &texted.homeserver, &texted.owner, &words).await;
    };
    let body = content::text(&to_room::body(&sms));
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
        .ensure(&*home.api, bot, &gateway.settings.gateway.public_name)
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
