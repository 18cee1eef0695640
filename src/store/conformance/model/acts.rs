//! Each operation, done to the store and to the model.

use super::super::sms::from;
use super::*;

impl World {
    pub(super) async fn apply(&mut self, op: Op) -> Result<(), String> {
        match op {
            Op::TopUp { owner, amount } => self.top_up(owner, amount).await,
            Op::SetLimit { owner, limit } => self.set_limit(owner, limit).await,
            Op::Open {
                room,
                phone,
                owner,
                direct,
            } => {
                let name = format!("room{room}");
                let request = direct_or_group(&name, PHONES[phone], OWNERS[owner], direct);
                self.open(OpenConversation {
                    now: at(self.now),
                    ..request
                })
                .await;
                Ok(())
            }
            Op::End { conversation } => {
                let Some(id) = pick(&self.conversations, conversation) else {
                    return Ok(());
                };
                self.store
                    .end_conversation(id, COOLING, at(self.now))
                    .await
                    .unwrap();
                self.ended(id);
                Ok(())
            }
            Op::Accept {
                conversation,
                payer,
                segments,
                price,
                fail,
            } => {
                let Some(id) = pick(&self.conversations, conversation) else {
                    return Ok(());
                };
                self.accept(id, (payer, segments, price, fail)).await
            }
            Op::Claim { limit } => self.claim(limit).await,
            Op::Answer { claimed, outcome } => {
                self.answer(claimed, outcome).await;
                Ok(())
            }
            Op::Cancel { message } => {
                self.cancel(message).await;
                Ok(())
            }
            Op::Pass { millis } => {
                self.now += millis;
                self.store.sweep(at(self.now), 1_000).await.unwrap();
                self.passed();
                Ok(())
            }
            Op::Jump { hours } => {
                self.now += (hours - self.wrong) * HOUR;
                self.wrong = hours;
                Ok(())
            }
            Op::Reply { phone, number } => self.reply(phone, number).await,
        }
    }

    /// Balance and what is reserved, by the model.
    pub(super) fn money(&self, owner: usize) -> (i64, i64, i64) {
        let (mut reserved, mut settled) = (0, 0);
        for message in self
            .messages
            .iter()
            .filter(|message| message.payer == owner)
        {
            for seen in &message.segments {
                match seen {
                    Seen::Queued | Seen::Intent | Seen::Uncertain { .. } => {
                        reserved += message.price;
                    }
                    Seen::Settled => settled += message.price,
                    Seen::Released => {}
                }
            }
        }
        (
            self.accounts[owner].top_ups - reserved - settled,
            reserved,
            settled,
        )
    }

    async fn top_up(&mut self, owner: usize, amount: i64) -> Result<(), String> {
        self.keys += 1;
        let key = self.keys.to_string();
        let done = self
            .store
            .top_up(&user(OWNERS[owner]), money(amount), &key, at(self.now))
            .await;
        let covered = amount >= 0 || self.money(owner).0 + amount >= -self.accounts[owner].limit;
        if covered {
            self.accounts[owner].top_ups += amount;
        }
        same!("a top-up is taken", covered, done.is_ok())
    }

    async fn set_limit(&mut self, owner: usize, limit: i64) -> Result<(), String> {
        let done = self
            .store
            .set_limit(&user(OWNERS[owner]), money(limit))
            .await;
        let fits = self.money(owner).0 >= -limit;
        if fits {
            self.accounts[owner].limit = limit;
        }
        same!("a limit is set", fits, done.is_ok())
    }

    async fn open(&mut self, request: OpenConversation) {
        let opened = self.store.open_conversation(request).await.unwrap();
        if let Some(replaced) = opened.replaced {
            self.ended(replaced.id);
        }
        let id = opened.conversation.id;
        if self.active.insert(id, true).is_none() {
            self.conversations.push(id);
        }
    }

    fn ended(&mut self, id: ConversationId) {
        self.active.insert(id, false);
        for message in self
            .messages
            .iter_mut()
            .filter(|message| message.conversation == id)
        {
            withdraw(&mut message.segments);
        }
    }

    async fn accept(
        &mut self,
        id: ConversationId,
        (payer, segments, price, fail): (usize, usize, i64, bool),
    ) -> Result<(), String> {
        self.keys += 1;
        let name = format!("event{}", self.keys);
        let conversation = self.store.conversation(id).await.unwrap().unwrap();
        let text = "x".repeat(152 * segments - 10);
        let new = NewMessage {
            payer: user(OWNERS[payer]),
            price: money(price),
            segments: split(&text, ReferenceWidth::Sixteen).unwrap(),
            uncertain: if fail {
                UncertainPolicy::Fail
            } else {
                UncertainPolicy::Hold(HOLD)
            },
            fraud: Fraud {
                spend_per_day: Some(money(SPEND_PER_DAY)),
                ..Fraud::default()
            },
            valid_until: FOR_EVER,
            receipt_by: FOR_EVER,
            now: at(self.now),
            ..message(&conversation, &name)
        };
        let (message, parts) = (new.id, new.segments.parts.len());
        let cost = price * i64::try_from(parts).unwrap();
        let covered = cost == 0 || self.money(payer).0 - cost >= -self.accounts[payer].limit;
        let within = cost == 0 || self.accounts[payer].spent + cost <= SPEND_PER_DAY;
        let free = conversation.originator.is_some() || self.free_numbers(&conversation) > 0;
        let accepted = self.store.accept_message(new).await.unwrap();
        let queued = matches!(accepted, Acceptance::Queued { .. });
        if queued {
            self.accounts[payer].spent += cost;
            let segments = vec![Seen::Queued; parts];
            let event = name;
            self.messages.push(Message {
                id: message,
                conversation: id,
                event,
                payer,
                price,
                fail,
                segments,
            });
        }
        same!(
            "a message is accepted",
            self.active[&id] && covered && within && free,
            queued,
        )
    }

    fn free_numbers(&self, conversation: &Conversation) -> usize {
        let taken = self.leases.iter().filter(|lease| {
            lease.handset == conversation.handset
                && lease.cooling_until.is_none_or(|until| until > at(self.now))
        });
        2 - taken.count()
    }

    async fn claim(&mut self, limit: usize) -> Result<(), String> {
        let claimed = self.store.claim(LINKS, limit, at(self.now)).await.unwrap();
        for segment in claimed {
            let SegmentRef { message, index } = segment.segment;
            let place = self
                .messages
                .iter()
                .position(|known| known.id == message)
                .unwrap();
            let conversation = self.messages[place].conversation;
            let overtakes = self.messages[..place]
                .iter()
                .filter(|earlier| earlier.conversation == conversation)
                .any(|earlier| {
                    earlier
                        .segments
                        .iter()
                        .any(|seen| matches!(seen, Seen::Queued | Seen::Intent))
                });
            same!("a message overtakes another", false, overtakes)?;
            let seen = &mut self.messages[place].segments[usize::from(index) - 1];
            same!("what is claimed is queued", true, *seen == Seen::Queued)?;
            *seen = Seen::Intent;
            self.claimed.push(segment);
        }
        Ok(())
    }

    async fn answer(&mut self, claimed: usize, outcome: usize) {
        let Some(segment) = pick(&self.claimed, claimed) else {
            return;
        };
        let outcome = match outcome {
            0 => Outcome::Submitted {
                message_id: self.keys.to_string(),
            },
            1 => Outcome::NotWritten,
            2 => Outcome::Throttled {
                retry_at: at(self.now + 5),
            },
            3 => Outcome::Rejected { status: 0x0b },
            _ => Outcome::Uncertain,
        };
        answer(&self.store, &segment, outcome.clone(), self.now).await;
        // An answer given again must change nothing, so it stays among those to choose from; one
        // to an older attempt as well.
        let newest = self
            .claimed
            .iter()
            .filter(|other| other.segment == segment.segment);
        if newest.map(|other| other.attempt).max() == Some(segment.attempt) {
            self.answered(&segment, &outcome);
        }
    }

    fn answered(&mut self, segment: &Claimed, outcome: &Outcome) {
        let now = self.now;
        let active = self.active[&segment.conversation];
        let message = self
            .messages
            .iter_mut()
            .find(|known| known.id == segment.segment.message);
        let message = message.unwrap();
        let failed = message
            .segments
            .iter()
            .any(|seen| matches!(seen, Seen::Released));
        let seen = &mut message.segments[usize::from(segment.segment.index) - 1];
        let late = matches!(seen, Seen::Uncertain { .. });
        if *seen != Seen::Intent && !late {
            return;
        }
        match outcome {
            Outcome::Submitted { .. } => *seen = Seen::Settled,
            Outcome::Rejected { .. } => {
                *seen = Seen::Released;
                withdraw(&mut message.segments);
            }
            _ if late => {}
            Outcome::Uncertain if message.fail => *seen = Seen::Released,
            Outcome::Uncertain => *seen = Seen::Uncertain { until: now + HOLD },
            _ if failed || !active => *seen = Seen::Released,
            _ => *seen = Seen::Queued,
        }
    }

    /// What a phone says to a number goes to who holds the pair, or held it last.
    async fn reply(&mut self, digits: usize, number: usize) -> Result<(), String> {
        self.keys += 1;
        let (digits, number) = (PHONES[digits], [VMN_1, VMN_2][number]);
        let sms = SmsIn {
            to: number.to_owned(),
            at: at(self.now),
            ..from(digits, &format!("reply {}", self.keys))
        };
        self.store.take_sms(sms).await.unwrap();
        let is_pair =
            |lease: &&Lease| lease.vmn.as_str() == number && lease.handset == phone(digits);
        let lease = self.leases.iter().find(is_pair);
        let expected = lease.and_then(|lease| match lease.cooling_until {
            None => Some(SmsRecipient::Conversation(lease.conversation)),
            Some(until) if until > at(self.now) => Some(SmsRecipient::Former(lease.conversation)),
            Some(_) => None,
        });
        let mut came = self.store.pending_sms(SmsId(0), 10).await.unwrap();
        for sms in &came {
            self.store.finish_sms(sms.id, Ending::Done).await.unwrap();
        }
        let recipient = came.pop().map(|sms| sms.recipient);
        same!("who hears a reply", expected, recipient)
    }

    async fn cancel(&mut self, message: usize) {
        let Some(index) = message.checked_rem(self.messages.len()) else {
            return;
        };
        let message = &mut self.messages[index];
        let name = event(&message.event);
        self.store
            .cancel_event(&home(), &name, at(self.now))
            .await
            .unwrap();
        if message.segments.iter().all(|seen| *seen == Seen::Queued) {
            withdraw(&mut message.segments);
        }
    }

    /// Holds end by time.
    fn passed(&mut self) {
        for seen in self
            .messages
            .iter_mut()
            .flat_map(|message| &mut message.segments)
        {
            if matches!(seen, Seen::Uncertain { until } if *until <= self.now) {
                *seen = Seen::Released;
            }
        }
    }
}
