//! Answers to what people say to the bot.

use matrix_smpp_codec::e164::E164;
use ruma::{OwnedUserId, UserId};

use super::{Gateway, Trouble, portal};
use crate::gateway::command::{self, Command};
use crate::gateway::model::{E164Text, Handset};
use crate::gateway::{notice, number};
use crate::store::{InboxEvent, Lane, Membership, NewOutbox, OutboxItem, RoomView};

/// Answers one command in the room where it was said.
pub(super) async fn answer(
    gateway: &Gateway,
    item: &InboxEvent,
    sender: &UserId,
    room: &RoomView,
    command: Command,
) -> Result<(), Trouble> {
    let Some(speaker) = speaker(gateway, room)? else {
        return Ok(());
    };
    let text = words(gateway, item, sender, room, command).await?;
    let entry = NewOutbox {
        key: format!("answer:{}:{}", item.homeserver, item.event_id),
        lane: Lane::Room(item.homeserver.clone(), item.room.clone()),
        item: OutboxItem::Notice {
            homeserver: item.homeserver.clone(),
            room: item.room.clone(),
            sender: speaker,
            text,
            reply_to: Some(item.event_id.clone()),
            to: Some(sender.to_owned()),
        },
    };
    gateway.enqueue(entry).await
}

/// Who answers: the bot where it is in the room, else the room's first phone.
pub(super) fn speaker(gateway: &Gateway, room: &RoomView) -> Result<Option<OwnedUserId>, Trouble> {
    let bot = gateway.connected(&room.facts.homeserver)?.names.bot();
    let joined = |who: &UserId| {
        let mut members = room.facts.members.iter();
        members.any(|member| member.user == who && member.membership == Membership::Joined)
    };
    if joined(bot) {
        return Ok(Some(bot.to_owned()));
    }
    Ok(room
        .conversations
        .first()
        .map(|conversation| conversation.ghost.clone()))
}

async fn words(
    gateway: &Gateway,
    item: &InboxEvent,
    sender: &UserId,
    room: &RoomView,
    command: Command,
) -> Result<String, Trouble> {
    Ok(match command {
        Command::Help => help(gateway, room)?,
        Command::Balance => {
            notice::balance(&gateway.store.account(sender).await?, &gateway.currency())
        }
        Command::Price(number) => price(gateway, number).await?,
        Command::Text(number, text) => {
            portal::open_by_command(gateway, item, sender, number, text.as_deref()).await?
        }
        Command::Who => who(room),
        Command::MissingNumber(verb) => notice::missing_number(verb),
        Command::BadNumber(typed, why) => notice::bad_number(&typed, why),
        Command::NotWords => notice::not_words(),
        Command::Unknown(verb) => notice::unknown_command(&verb),
    })
}

fn help(gateway: &Gateway, room: &RoomView) -> Result<String, Trouble> {
    let names = &gateway.connected(&room.facts.homeserver)?.names;
    let example = "447700900123"
        .parse()
        .ok()
        .and_then(|number: E164| names.ghost(&Handset::Number(E164Text(number))));
    let example = example.map(|ghost| ghost.to_string()).unwrap_or_default();
    Ok(notice::help(command::PREFIX, &example))
}

async fn price(gateway: &Gateway, number: E164) -> Result<String, Trouble> {
    let phone = number::display_number(number);
    Ok(match gateway.route_to(number).await? {
        Ok(route) => notice::price(&phone, route.price, &gateway.currency()),
        Err(why) => notice::unreachable(&why, &phone),
    })
}

fn who(room: &RoomView) -> String {
    let lines: Vec<_> = room
        .conversations
        .iter()
        .map(|one| {
            let sender = one.originator.as_ref().map(number::display_originator);
            (number::display(&one.handset), sender)
        })
        .collect();
    notice::who(&lines)
}
