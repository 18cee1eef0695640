//! What must hold after every operation.

use super::*;

impl World {
    pub(super) async fn check(&mut self) -> Result<(), String> {
        for (index, owner) in OWNERS.iter().enumerate() {
            let account = self.store.account(&user(owner)).await.unwrap();
            let stored = (
                account.balance.micros(),
                account.reserved.micros(),
                account.settled.micros(),
            );
            same!("an account", self.money(index), stored)?;
            same!(
                "top-ups",
                self.accounts[index].top_ups,
                account.top_ups.micros(),
            )?;
            same!(
                "a balance above its limit",
                true,
                stored.0 >= -account.limit.micros(),
            )?;
        }
        let audit = self.store.audit().await.unwrap();
        same!("the audit", Audit::default(), audit)?;
        self.check_leases().await
    }

    async fn check_leases(&mut self) -> Result<(), String> {
        let leases = self.store.leases().await.unwrap();
        for lease in &leases {
            let holder = self
                .store
                .conversation(lease.conversation)
                .await
                .unwrap()
                .unwrap();
            same!("the handset of a lease", &holder.handset, &lease.handset)?;
            same!(
                "a lease is active",
                holder.active,
                lease.cooling_until.is_none(),
            )?;
            let same_pair =
                |other: &&Lease| (other.vmn, &other.handset) == (lease.vmn, &lease.handset);
            same!(
                "leases of one pair",
                1,
                leases.iter().filter(same_pair).count(),
            )?;
            if let Some(before) = self.leases.iter().find(same_pair) {
                self.check_successor(before, &holder).await?;
            }
        }
        for id in &self.conversations {
            let conversation = self.store.conversation(*id).await.unwrap().unwrap();
            same!(
                "a conversation is active",
                self.active[id],
                conversation.active,
            )?;
            if let (true, Some(Originator::Vmn(vmn))) =
                (conversation.active, conversation.originator)
            {
                let held = leases
                    .iter()
                    .any(|lease| lease.vmn == vmn.0 && lease.conversation == *id);
                same!("the number of a conversation is its own", true, held)?;
            }
        }
        self.leases = leases;
        Ok(())
    }

    /// A pair changes hands after its cooling-off, or between direct conversations of one owner.
    async fn check_successor(&self, before: &Lease, now: &Conversation) -> Result<(), String> {
        if before.conversation == now.id {
            return Ok(());
        }
        let former = self
            .store
            .conversation(before.conversation)
            .await
            .unwrap()
            .unwrap();
        let cooled = before
            .cooling_until
            .is_some_and(|until| until <= at(self.now));
        let taken_over = former.owner == now.owner && former.direct && now.direct;
        same!(
            "a pair may change hands",
            true,
            !former.active && (cooled || taken_over),
        )
    }
}
