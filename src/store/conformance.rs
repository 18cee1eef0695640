//! What every engine must promise, as one suite of tests that knows only the contract.
//!
//! An engine runs it by `suite!(TheEngine)` in its own tests, where `TheEngine: Engine + Default`.

use std::sync::Arc;
use std::time::Duration;

use matrix_smpp_codec::e164::E164;
use matrix_smpp_codec::segment::{ReferenceWidth, split};
use matrix_smpp_config::{Fraud, Money, NumberRange, Numbers};
use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId};

use super::*;
use crate::gateway::model::{
    Conversation, E164Text, Handset, MessageId, MessageState, OutboxId, SmsId, Source, Timestamp,
    UncertainPolicy,
};

pub(crate) mod aside;
pub(crate) mod at_once;
pub(crate) mod conversations;
pub(crate) mod copies;
pub(crate) mod events;
pub(crate) mod id_forms;
pub(crate) mod lanes;
pub(crate) mod ledger;
pub(crate) mod limits;
pub(crate) mod messages;
pub(crate) mod model;
pub(crate) mod opt_outs;
pub(crate) mod outbox;
pub(crate) mod parts;
pub(crate) mod populated;
pub(crate) mod receipts;
pub(crate) mod resends;
pub(crate) mod rooms;
pub(crate) mod scheduled;
pub(crate) mod sms;
pub(crate) mod smsc;
pub(crate) mod submissions;
mod tries;

/// Makes stores of one engine.
pub(crate) trait Engine: Sync {
    /// Opens the one store of this value, again after the last one was dropped.
    fn open(&self) -> Arc<dyn Store>;

    /// An engine with a store of its own.
    fn another(&self) -> Box<dyn Engine>;
}

macro_rules! suite {
    ($engine:ty) => {
        $crate::store::conformance::run! { $engine =>
            events:
                an_event_is_taken_once_though_its_transaction_id_repeats,
                what_is_over_is_known_and_never_handled,
                no_more_events_are_taken_in_than_may_wait,
                one_event_id_of_two_homeservers_is_two_events,
                a_finished_event_stays_known,
                what_was_acknowledged_survives_a_restart,
                a_probe_changes_nothing_that_can_be_seen,
                an_event_set_aside_is_counted_and_out_of_the_way,
                a_finished_event_is_forgotten_after_a_month,
                an_event_that_never_came_is_unknown,
                extras_wait_for_their_reader_for_a_month;
            rooms:
                a_room_never_put_is_unknown,
                a_member_who_left_is_forgotten,
                encryption_has_no_way_back,
                the_room_with_the_bot_is_the_newest_that_only_the_two_share,
                a_ghost_is_ready_once_that_was_said,
                every_room_is_in_a_page,
                whoever_asks_for_a_room_knows_of_every_change,
                a_room_that_ours_have_left_is_forgotten_when_nothing_goes_on_there;
            conversations:
                one_room_and_handset_have_one_conversation,
                a_new_direct_room_takes_the_number_over_and_ends_the_old_one,
                a_conversation_that_waits_for_its_room_takes_the_first,
                a_resumed_conversation_gets_its_cooling_number_back,
                a_resumed_conversation_whose_number_is_taken_gets_another,
                a_new_direct_conversation_gets_the_number_its_owner_had,
                ending_refunds_what_is_queued_with_news_and_leaves_what_is_on_the_wire,
                ending_twice_cools_once,
                two_conversations_of_a_handset_never_share_a_room,
                a_conversation_uses_the_number_that_the_phone_texted,
                a_number_that_serves_the_owners_other_conversation_leads_there,
                a_number_that_serves_somebody_else_is_left_there,
                what_is_on_the_wire_when_a_conversation_ends_is_not_queued_again;
            messages:
                accepting_twice_queues_and_charges_once,
                no_more_messages_wait_than_may,
                a_number_and_a_handset_never_serve_two_conversations,
                a_conversation_keeps_its_number,
                an_exhausted_pool_refuses_and_changes_nothing,
                credit_is_reserved_whole_or_refused_whole,
                an_ended_conversation_takes_no_message,
                messages_that_follow_each_other_have_different_references,
                a_redacted_event_is_taken_back_while_it_waits,
                a_redacted_event_on_the_wire_stays_whole,
                taking_back_a_waiting_message_does_not_let_others_overtake,
                a_dedicated_number_is_never_leased_to_another,
                the_history_tells_each_change,
                a_message_without_progress_is_news_only_where_it_fails,
                an_edit_leads_to_the_history_of_what_it_edits,
                a_shortcode_is_shared_and_leases_nothing,
                a_message_is_forgotten_long_after_its_end_but_its_cost_is_not,
                a_long_text_is_carried_as_it_was_split;
            at_once:
                an_event_is_accepted_and_ended_in_one_step,
                an_event_of_which_a_message_is_refused_stays_as_it_was;
            lanes:
                only_the_first_message_of_a_conversation_is_claimed,
                the_next_message_waits_for_every_segment_of_the_first,
                an_uncertain_segment_frees_the_lane_at_once,
                a_throttled_segment_keeps_its_place,
                conversations_never_wait_for_each_other,
                a_conversation_with_many_messages_takes_turns,
                a_repeated_or_stale_answer_changes_nothing,
                a_rejected_segment_fails_and_refunds_the_rest,
                a_segment_sent_again_is_flagged_and_bounded,
                a_policy_to_fail_loses_at_once,
                an_intent_without_an_answer_is_uncertain_after_a_restart,
                a_late_answer_ends_the_uncertainty,
                a_message_past_its_validity_is_refunded_and_never_claimed,
                submitted_is_told_once_and_only_when_all_segments_are,
                a_relayed_sms_is_told_only_when_it_fails,
                only_temporary_errors_count_as_retries,
                what_was_put_off_by_a_clock_that_was_ahead_is_not_waited_for;
            resends:
                what_is_never_sent_again_may_have_arrived,
                what_ends_while_it_waits_to_be_sent_again_is_lost,
                what_comes_back_unsent_after_the_end_is_lost_where_it_may_have_arrived;
            receipts:
                a_receipt_finds_its_segment_by_id,
                receipts_that_come_together_are_each_taken,
                an_id_is_found_however_it_is_padded_but_never_for_another_phone,
                an_id_that_two_messages_were_given_means_the_one_to_its_phone,
                a_throttled_segment_still_asks_for_its_receipt,
                an_id_means_nothing_in_another_link_group,
                a_receipt_that_came_first_waits_for_its_answer,
                a_final_state_never_goes_back,
                a_receipt_that_is_not_final_changes_nothing,
                delivered_is_told_when_every_segment_is,
                a_failed_receipt_keeps_the_charge_and_tells_why,
                a_receipt_proves_the_only_uncertain_segment_sent,
                two_uncertain_segments_make_a_receipt_wait,
                a_receipt_that_two_could_mean_proves_neither,
                a_receipt_of_one_given_up_proves_nothing_of_one_that_is_held,
                a_receipt_from_before_an_attempt_proves_nothing_of_it,
                a_receipt_that_comes_again_proves_nothing_of_a_later_attempt,
                a_segment_on_the_wire_may_still_claim_the_receipt,
                a_receipt_before_the_uncertainty_proves_it_too,
                an_uncertain_segment_is_lost_after_its_hold,
                a_lost_segment_may_still_arrive_without_a_charge,
                a_receipt_that_never_comes_is_waited_for_so_long,
                a_receipt_after_its_time_still_counts,
                no_receipt_is_missed_where_none_was_asked_for,
                one_segment_without_a_receipt_leaves_the_message_without;
            id_forms:
                a_receipt_in_another_base_finds_its_segment,
                a_receipt_in_another_base_that_came_first_waits_for_its_answer,
                a_number_in_another_base_never_means_another_phone,
                an_id_that_could_mean_two_waits_until_the_form_is_known,
                the_form_that_is_known_counts_before_the_very_same_id,
                a_form_that_is_set_needs_no_proof,
                a_peer_may_change_its_ways,
                a_message_without_an_answer_teaches_nothing;
            opt_outs:
                a_phone_that_says_stop_gets_nothing_that_has_not_left,
                a_phone_that_says_start_is_texted_again,
                what_comes_back_after_a_stop_is_not_sent_again,
                whoever_a_phone_has_stopped_cannot_go_on_with_another_number,
                a_number_that_a_phone_has_stopped_is_not_leased_for_it,
                a_phone_may_want_nothing_from_anybody,
                a_stop_to_a_short_code_holds_though_nobody_reads_it,
                what_phones_want_is_known_after_a_restart_and_can_be_listed,
                a_phone_that_has_stopped_very_many_numbers_wants_none;
            parts:
                no_part_is_lost_or_doubled_or_in_a_text_of_another,
                parts_that_all_come_are_one_text_in_their_order;
            sms:
                an_sms_goes_to_the_conversation_that_leases_the_number,
                an_sms_to_nobody_is_not_kept,
                no_more_sms_wait_than_may,
                no_more_long_sms_wait_for_parts_than_may,
                a_late_sms_goes_to_the_former_conversation_only,
                a_dedicated_number_takes_any_sms_for_its_owner,
                parts_are_joined_in_any_order_over_any_link,
                parts_of_two_people_are_never_mixed,
                a_part_that_comes_twice_counts_once,
                a_reference_used_again_hands_the_old_parts_on,
                parts_that_never_complete_are_handed_on_with_gaps,
                the_parts_of_one_phone_are_bounded,
                sms_are_pending_in_the_order_in_which_they_became_whole,
                a_part_follows_the_first_part_though_the_lease_ended,
                an_sms_too_long_for_a_pdu_is_refused,
                the_text_of_an_sms_is_forgotten_a_day_after_it_was_said;
            copies:
                an_answer_that_was_missed_explains_one_copy,
                an_smsc_may_come_back_a_day_later,
                an_answer_that_was_heard_explains_no_copy,
                the_same_words_on_one_living_bind_are_new,
                the_same_words_on_two_living_binds_wait_for_the_first,
                a_copy_that_is_taken_after_its_redelivery_is_known,
                a_part_has_its_reference_as_evidence,
                what_a_peer_says_of_identity_is_believed,
                what_was_heard_is_soon_forgotten;
            submissions:
                a_submission_is_delivered_once_it_was_said,
                a_submission_that_is_set_aside_is_undeliverable,
                each_part_of_a_long_submission_has_its_receipt,
                a_long_submission_is_withdrawn_whole,
                what_may_have_been_said_is_not_withdrawn_or_replaced,
                what_is_withdrawn_is_never_said,
                a_submission_past_its_validity_is_never_said,
                a_receipt_is_owed_until_it_is_taken,
                a_receipt_that_is_not_answered_holds_up_no_other,
                a_receipt_that_nobody_fetches_is_given_up,
                a_receipt_waits_for_the_name_that_it_is_to_bear;
            scheduled:
                a_scheduled_submission_stands_in_the_line_from_its_time_on,
                a_scheduled_submission_can_be_withdrawn,
                a_scheduled_submission_can_have_another_text_and_another_time,
                the_latest_time_of_its_parts_is_that_of_a_long_submission,
                a_scheduled_submission_outlives_its_validity_nowhere;
            smsc:
                every_sms_is_taken_once_whenever_binds_die;
            outbox:
                a_lane_is_done_in_order,
                a_postponed_entry_holds_up_its_own_lane_only,
                postponed_entries_can_be_made_due_at_once,
                an_entry_is_queued_once_by_its_key,
                a_lane_may_be_read_ahead_and_ended_at_once,
                busy_lanes_are_left_out,
                an_entry_set_aside_lets_its_lane_go_on,
                what_was_queued_by_a_clock_that_was_ahead_is_not_waited_for,
                an_item_survives_the_store;
            aside:
                what_is_set_aside_is_told_once_in_the_same_step,
                what_is_set_aside_is_listed_without_its_content,
                what_is_tried_again_is_first_in_its_lane,
                what_is_dropped_is_gone_for_good,
                a_dropped_event_takes_back_what_has_not_left,
                what_is_set_aside_is_forgotten_long_after;
            ledger:
                a_top_up_is_paid_in_once_by_its_key,
                what_is_not_there_cannot_be_taken_out,
                a_limit_is_how_far_below_zero_a_balance_goes,
                a_closed_store_can_be_opened_though_somebody_still_holds_it,
                a_segment_is_settled_once_and_the_audit_agrees,
                concurrent_messages_never_overdraw,
                amounts_stay_within_their_bounds,
                a_dedicated_number_has_one_owner,
                an_audit_agrees_though_money_moves_meanwhile,
                all_leases_of_a_phone_are_in_one_page,
                a_lease_can_be_released_by_hand;
            limits:
                nothing_is_counted_without_limits,
                a_person_spends_so_much_within_a_day,
                a_repeated_message_counts_once,
                a_person_begins_with_so_many_new_phones_within_a_day,
                so_many_new_phones_of_a_prefix_are_texted_by_all_together,
                a_phone_that_has_texted_us_is_none_of_the_new_ones,
                a_refused_message_leaves_no_lease_and_counts_under_no_limit,
                an_event_over_a_limit_is_not_accepted_in_part,
                limits_hold_whoever_asks_at_once,
                what_was_counted_survives_a_restart,
                a_limit_that_is_hit_is_listed_until_it_is_cleared,
                counters_are_forgotten_when_their_window_is_over;
            model:
                money_and_leases_hold_under_any_order_of_operations;
        }
    };
}

macro_rules! run {
    ($engine:ty => $($area:ident: $($name:ident),+;)+) => {$(
        mod $area {
            use super::*;
            $(
                #[tokio::test]
                async fn $name() {
                    let engine = <$engine>::default();
                    $crate::store::conformance::$area::$name(&engine).await;
                }
            )+
        }
    )+};
}

pub(crate) use {run, suite};

/// The link group of all messages here.
const LINKS: &str = "operator";
/// Price of a segment.
const PRICE: i64 = 10;
/// When a message is too old.
const VALID_UNTIL: Timestamp = Timestamp(1_000_000);
/// When a receipt is not expected any more.
const RECEIPT_BY: Timestamp = Timestamp(1_500_000);
/// The first VMN of the pool and the one after it.
const VMN_1: &str = "447700900901";
const VMN_2: &str = "447700900902";
/// Phones.
const ANNA: &str = "447700900123";
const BERT: &str = "447700900124";

fn at(millis: i64) -> Timestamp {
    Timestamp(millis)
}

fn money(micros: i64) -> Money {
    Money::from_micros(micros).unwrap()
}

fn home() -> OwnedServerName {
    "example.org".try_into().unwrap()
}

fn user(name: &str) -> OwnedUserId {
    format!("@{name}:example.org").try_into().unwrap()
}

fn room(name: &str) -> OwnedRoomId {
    format!("!{name}:example.org").try_into().unwrap()
}

fn event(name: &str) -> OwnedEventId {
    format!("${name}").try_into().unwrap()
}

fn number(digits: &str) -> E164 {
    digits.parse().unwrap()
}

fn phone(digits: &str) -> Handset {
    Handset::Number(E164Text(number(digits)))
}

/// Asks for `owner`'s direct conversation with a phone in a room.
fn direct(name: &str, digits: &str, owner: &str) -> OpenConversation {
    OpenConversation {
        homeserver: home(),
        room: Some(room(name)),
        handset: phone(digits),
        ghost: user(&format!(".tel.{digits}")),
        owner: user(owner),
        direct: true,
        originator: None,
        now: at(1),
    }
}

/// Asks for a conversation of a room with several people.
fn group(name: &str, digits: &str, owner: &str) -> OpenConversation {
    OpenConversation {
        direct: false,
        ..direct(name, digits, owner)
    }
}

async fn open(store: &Arc<dyn Store>, request: OpenConversation) -> Conversation {
    store.open_conversation(request).await.unwrap().conversation
}

/// The pool of `count` numbers, from [`VMN_1`] on.
fn pool(count: u64) -> OriginatorPlan {
    let first: u64 = VMN_1.parse().unwrap();
    let range = NumberRange {
        first: number(VMN_1),
        last: number(&(first + count - 1).to_string()),
    };
    let numbers = Numbers {
        ranges: vec![range],
    };
    OriginatorPlan::Vmns {
        pool: "uk".to_owned(),
        dedicated: Vec::new(),
        numbers,
    }
}

/// Set aside without a word to anybody.
fn aside(reason: &str) -> Ending {
    Ending::SetAside {
        reason: reason.to_owned(),
        at: at(20),
        tell: None,
    }
}

/// What an event named `name` says to a conversation's phone, in one segment.
fn message(conversation: &Conversation, name: &str) -> NewMessage {
    let source = Source::Event {
        homeserver: home(),
        event: event(name),
        edit: None,
        sender: user("alice"),
    };
    NewMessage {
        id: MessageId::of(&source, conversation.id),
        source,
        conversation: conversation.id,
        destination: conversation.handset.number().unwrap(),
        payer: user("alice"),
        route: "uk".to_owned(),
        link_group: LINKS.to_owned(),
        originators: pool(2),
        price: money(PRICE),
        segments: split("Hello", ReferenceWidth::Sixteen).unwrap(),
        receipts: true,
        progress: true,
        uncertain: UncertainPolicy::Hold(60_000),
        most_waiting: usize::MAX,
        valid_until: VALID_UNTIL,
        receipt_by: RECEIPT_BY,
        fraud: Fraud::default(),
        now: at(10),
    }
}

/// The same in two segments.
fn long_message(conversation: &Conversation, name: &str) -> NewMessage {
    let segments = split(&"x".repeat(200), ReferenceWidth::Sixteen).unwrap();
    assert_eq!(segments.parts.len(), 2);
    NewMessage {
        segments,
        ..message(conversation, name)
    }
}

/// Accepts a message that must be accepted.
async fn queue(store: &Arc<dyn Store>, message: NewMessage) -> MessageId {
    let id = message.id;
    let acceptance = store.accept_message(message).await.unwrap();
    assert!(
        matches!(acceptance, Acceptance::Queued { .. }),
        "{acceptance:?}"
    );
    id
}

/// Has a text of `alice` wait in the store for links of [`LINKS`], from `now` on.
pub(crate) async fn queue_a_text(store: &Arc<dyn Store>, now: Timestamp) -> MessageId {
    let alice = user("alice");
    let credit = store.top_up(&alice, money(10_000), "first", at(1));
    credit.await.unwrap();
    let conversation = open(store, group("a", ANNA, "alice")).await;
    let new = NewMessage {
        valid_until: now.after(Duration::from_hours(1)),
        receipt_by: now.after(Duration::from_hours(2)),
        now,
        ..message(&conversation, "one")
    };
    queue(store, new).await
}

/// A store in which `alice` has credit for many messages.
async fn with_credit(engine: &dyn Engine) -> Arc<dyn Store> {
    let store = engine.open();
    store
        .top_up(&user("alice"), money(10_000), "first", at(1))
        .await
        .unwrap();
    store
}

async fn claim(store: &Arc<dyn Store>, now: i64) -> Vec<Claimed> {
    store.claim(LINKS, 100, at(now)).await.unwrap()
}

/// The messages of claimed segments.
fn ids(claimed: &[Claimed]) -> Vec<MessageId> {
    claimed
        .iter()
        .map(|segment| segment.segment.message)
        .collect()
}

async fn answer(store: &Arc<dyn Store>, claimed: &Claimed, outcome: Outcome, now: i64) {
    let answer = Answer {
        segment: claimed.segment,
        attempt: claimed.attempt,
        outcome,
    };
    store.record_answers(vec![answer], at(now)).await.unwrap();
}

fn submitted(id: &str) -> Outcome {
    Outcome::Submitted {
        message_id: id.to_owned(),
    }
}

async fn state(store: &Arc<dyn Store>, id: MessageId) -> MessageState {
    store.message(id).await.unwrap().unwrap().state
}

/// Balance, reserved and settled of `alice`, after a look at the sums.
async fn account(store: &Arc<dyn Store>) -> (i64, i64, i64) {
    assert_eq!(store.audit().await.unwrap(), Audit::default());
    let account = store.account(&user("alice")).await.unwrap();
    let sum = account.balance.micros() + account.reserved.micros() + account.settled.micros();
    assert_eq!(sum, account.top_ups.micros());
    (
        account.balance.micros(),
        account.reserved.micros(),
        account.settled.micros(),
    )
}

/// All that waits in the outbox, in order, taken out of it.
async fn drain(store: &Arc<dyn Store>) -> Vec<OutboxItem> {
    let mut items: Vec<(OutboxId, OutboxItem)> = Vec::new();
    loop {
        let due = store
            .due_outbox(Due::heads(at(i64::MAX), 100))
            .await
            .unwrap();
        if due.is_empty() {
            break;
        }
        for entry in due {
            store.finish_outbox(entry.id, Ending::Done).await.unwrap();
            items.push((entry.id, entry.item));
        }
    }
    items.sort_by_key(|(id, _)| *id);
    items.into_iter().map(|(_, item)| item).collect()
}

/// The news of messages that wait in the outbox, in order, taken out of it.
async fn news(store: &Arc<dyn Store>) -> Vec<(MessageId, MessageState)> {
    let items = drain(store).await.into_iter();
    items
        .map(|item| match item {
            OutboxItem::MessageNews { message, state } => (message, state),
            other => panic!("no news: {other:?}"),
        })
        .collect()
}
