//! Fair turns on a device: models that share it get equal time, whoever has more waiting.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ahash::AHashMap;

/// What one model has had of the device.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    /// The time it has used; of one that was away, no less than those have that were not.
    used: Duration,
    waiting: usize,
    running: usize,
}

impl Account {
    fn is_active(&self) -> bool {
        self.waiting + self.running > 0
    }
}

/// Who runs and who waits for the device; a rule without a clock.
#[derive(Debug)]
struct Book {
    /// Runs that the device does side by side.
    places: usize,
    running: usize,
    accounts: AHashMap<u64, Account>,
    next: u64,
}

impl Book {
    fn open(&mut self) -> u64 {
        self.next += 1;
        self.accounts.insert(self.next, Account::default());
        self.next
    }

    /// Notes that a model wants to run.
    fn come(&mut self, model: u64) {
        let active = self.accounts.values().filter(|account| account.is_active());
        let least = active.map(|account| account.used).min().unwrap_or_default();
        let own = self.accounts.entry(model).or_default();
        if !own.is_active() {
            own.used = own.used.max(least);
        }
        own.waiting += 1;
    }

    /// Lets a model that waits run, where there is a place and nobody waits who has had less.
    fn enter(&mut self, model: u64) -> bool {
        let used = self.accounts.get(&model).map_or(Duration::ZERO, |own| own.used);
        let mut waiting = self.accounts.values().filter(|other| other.waiting > 0);
        let may = self.running < self.places && waiting.all(|other| other.used >= used);
        if may {
            let own = self.accounts.entry(model).or_default();
            own.waiting -= 1;
            own.running += 1;
            self.running += 1;
        }
        may
    }

    /// Notes that a model ran for so long.
    fn leave(&mut self, model: u64, ran: Duration) {
        self.running -= 1;
        if let Some(own) = self.accounts.get_mut(&model) {
            own.running -= 1;
            own.used += ran;
        }
    }
}

/// The turns of one device.
#[derive(Debug)]
pub struct Turns {
    book: Mutex<Book>,
    news: Condvar,
}

impl Turns {
    /// A device that does so many runs side by side.
    pub fn new(places: usize) -> Arc<Self> {
        let book =
            Book { places: places.max(1), running: 0, accounts: AHashMap::default(), next: 0 };
        Arc::new(Self { book: Mutex::new(book), news: Condvar::new() })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a model waits for its turn at this moment.
    pub fn is_sought(&self) -> bool {
        self.book().accounts.values().any(|account| account.waiting > 0)
    }

    /// A model's account, which is closed when it is dropped.
    pub(super) fn account(self: &Arc<Self>) -> DeviceAccount {
        DeviceAccount { model: self.book().open(), turns: Arc::clone(self) }
    }
}

/// A model's account with its device.
#[derive(Debug)]
pub(super) struct DeviceAccount {
    turns: Arc<Turns>,
    model: u64,
}

impl DeviceAccount {
    /// A turn, if it can be had at once.
    pub(super) fn try_enter(&self) -> Option<Turn<'_>> {
        let mut book = self.turns.book();
        book.come(self.model);
        if book.enter(self.model) {
            return Some(self.turn(Duration::ZERO));
        }
        if let Some(own) = book.accounts.get_mut(&self.model) {
            own.waiting -= 1;
        }
        None
    }

    /// Waits for a turn.
    pub(super) fn enter(&self) -> Turn<'_> {
        let came = Instant::now();
        let mut book = self.turns.book();
        book.come(self.model);
        while !book.enter(self.model) {
            book = self.turns.news.wait(book).unwrap_or_else(PoisonError::into_inner);
        }
        drop(book);
        // Who stood behind this one may have a place too.
        self.turns.news.notify_all();
        self.turn(came.elapsed())
    }

    fn turn(&self, waited: Duration) -> Turn<'_> {
        Turn { account: self, begun: Instant::now(), waited }
    }
}

impl Drop for DeviceAccount {
    fn drop(&mut self) {
        self.turns.book().accounts.remove(&self.model);
        self.turns.news.notify_all();
    }
}

/// A turn on the device, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    account: &'a DeviceAccount,
    begun: Instant,
    /// How long it was waited for.
    pub(super) waited: Duration,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let DeviceAccount { turns, model } = self.account;
        let mut book = turns.book();
        book.leave(*model, self.begun.elapsed());
        let waiting = book.accounts.values().any(|account| account.waiting > 0);
        drop(book);
        if waiting {
            turns.news.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    fn book(places: usize) -> Book {
        Book { places, running: 0, accounts: AHashMap::default(), next: 0 }
    }

    #[test]
    fn who_has_had_less_goes_first() {
        let mut book = book(1);
        let (a, b) = (book.open(), book.open());
        book.come(a);
        assert!(book.enter(a));
        book.come(a);
        book.come(b);
        assert!(!book.enter(b), "there is one place");
        book.leave(a, Duration::from_millis(5));
        assert!(!book.enter(a), "b has had less");
        assert!(book.enter(b));
    }

    #[test]
    fn a_device_is_sought_while_a_model_waits_for_it() {
        let turns = Turns::new(1);
        let (a, b) = (turns.account(), turns.account());
        let turn = a.enter();
        assert!(!turns.is_sought(), "a model that runs waits no more");
        thread::scope(|scope| {
            scope.spawn(|| drop(b.enter()));
            while !turns.is_sought() {
                thread::yield_now();
            }
            drop(turn);
        });
        assert!(!turns.is_sought());
    }

    #[test]
    fn who_was_away_saves_nothing_up() {
        let mut book = book(1);
        let (a, b) = (book.open(), book.open());
        for _ in 0..9 {
            book.come(a);
            assert!(book.enter(a));
            book.leave(a, Duration::from_millis(10));
        }
        book.come(a);
        book.come(b);
        assert_eq!(book.accounts[&b].used, book.accounts[&a].used);
    }

    proptest! {
        /// Two models that always have work get equal time, to within a run of each, whatever their runs take.
        #[test]
        fn busy_models_share_equally(runs in prop::collection::vec((1u64..40, 1u64..40), 20..200)) {
            let mut book = book(1);
            let models = [book.open(), book.open()];
            models.iter().for_each(|model| book.come(*model));
            let mut took = [0_u64; 2];
            for (first, second) in runs {
                let which = usize::from(!book.enter(models[0]));
                if which == 1 {
                    prop_assert!(book.enter(models[1]), "one of them may run");
                }
                let ms = [first, second][which];
                took[which] += ms;
                book.come(models[which]);
                book.leave(models[which], Duration::from_millis(ms));
                prop_assert!(took[0].abs_diff(took[1]) <= 40, "{took:?}");
            }
        }
    }
}
