//! Runs schedules, and makes those that fail as short as they can be.

use std::{
    cell::RefCell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

use crate::{
    schedule::{Setup, Step, steps},
    world::World,
};

thread_local! {
    /// Where and why the schedule under way failed.
    static FAILURE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A schedule that fails, and what it fails with.
pub(crate) struct Found {
    pub(crate) setup: Setup,
    pub(crate) steps: Vec<Step>,
    pub(crate) failure: String,
}

/// Runs the schedule of a seed.
pub(crate) fn try_seed(seed: u64) -> Option<Found> {
    let setup = Setup::new(seed);
    let steps = steps(&setup);
    let failure = run(&setup, &steps)?;
    Some(Found {
        setup,
        steps,
        failure,
    })
}

/// Runs a schedule; says what it fails with.
fn run(setup: &Setup, steps: &[Step]) -> Option<String> {
    static QUIETLY: Once = Once::new();
    QUIETLY.call_once(|| {
        panic::set_hook(Box::new(|info| FAILURE.set(info.to_string())));
    });
    let live = || {
        let mut world = World::new(setup.clone());
        world.fill();
        world.check();
        for step in steps {
            world.apply(*step);
            world.check();
        }
    };
    let failed = panic::catch_unwind(AssertUnwindSafe(live)).is_err();
    failed.then(|| FAILURE.take())
}

impl Found {
    /// The same failure with as few steps as can be: without halves, quarters, and so on down to single ones.
    pub(crate) fn minimise(mut self) -> Self {
        let mut size = self.steps.len().div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < self.steps.len() {
                let mut fewer = self.steps.clone();
                fewer.drain(at..(at + size).min(fewer.len()));
                match run(&self.setup, &fewer) {
                    Some(failure) => (self.steps, self.failure) = (fewer, failure),
                    None => at += size,
                }
            }
            size /= 2;
        }
        self
    }

    pub(crate) fn report(&self) -> String {
        let steps = self.steps.iter().map(|it| format!("\n  {it:?}"));
        format!(
            "seed {}\n{:#?}\nsteps:{}\n{}",
            self.setup.seed,
            self.setup,
            steps.collect::<String>(),
            self.failure
        )
    }
}
