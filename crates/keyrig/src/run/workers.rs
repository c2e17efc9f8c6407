//! The threads that run scenarios, each with a runtime of its own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use keyrig_scenario::language::{On, Scenario};
use keyrig_scenario::results::RunResult;
use keyrig_scenario::runner::{Settings, run};
use tokio::runtime;
use tokio::sync::{mpsc, watch};

use super::Arguments;
use crate::failure::Failure;

/// What a thread tells.
pub(super) enum News {
    /// A scenario begins.
    Began(String),
    /// The scenario of this place ended.
    Ended(usize, Box<RunResult>),
}

/// Those that are to run yet, with their places.
type Waiting = Arc<Mutex<VecDeque<(usize, Scenario)>>>;

/// The threads.
pub(super) struct Workers {
    /// How many scenarios there are.
    pub(super) count: usize,
    waiting: Waiting,
    news: mpsc::UnboundedReceiver<News>,
    stop: watch::Sender<bool>,
}

/// Starts threads for scenarios.
pub(super) fn start(scenarios: Vec<Scenario>, arguments: &Arguments, on: On) -> Result<Workers, Failure> {
    let by_default = match on {
        // Ports and nodes of one kernel.
        On::Kernel => 1,
        // Keys of one person.
        On::Hid => 1,
        _ => thread::available_parallelism().map_or(1, usize::from),
    };
    let count = scenarios.len();
    let jobs = match on {
        On::Hid => by_default.min(count),
        _ => arguments.jobs.map_or(by_default, usize::from).min(count),
    };
    let settings = settings(arguments, on)?;
    let waiting: Waiting = Arc::new(Mutex::new(scenarios.into_iter().enumerate().collect()));
    let (sender, news) = mpsc::unbounded_channel();
    let stop = watch::Sender::new(false);
    for _ in 0..jobs {
        let worker = Worker {
            waiting: waiting.clone(),
            settings: Settings { stop: Some(stop.subscribe()), ..settings.clone() },
            fail_fast: arguments.fail_fast,
            news: sender.clone(),
        };
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Runtime)?;
        let work = move || runtime.block_on(worker.work());
        thread::Builder::new().name("scenarios".to_owned()).spawn(work).map_err(Failure::Runtime)?;
    }
    Ok(Workers { count, waiting, news, stop })
}

fn settings(arguments: &Arguments, on: On) -> Result<Settings, Failure> {
    let settings = Settings { on, seed: arguments.seed, ..Settings::default() };
    #[cfg(target_os = "linux")]
    if on == On::Hid {
        return Ok(Settings { bench: Some(arguments.hands.bench()?), ..settings });
    }
    Ok(settings)
}

impl Workers {
    /// What is told next; nothing once all have ended.
    pub(super) async fn news(&mut self) -> Option<News> {
        self.news.recv().await
    }

    /// Begins none of those that have not begun, and ends those that run.
    pub(super) fn stop(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.stop.send_replace(true);
    }
}

struct Worker {
    waiting: Waiting,
    settings: Settings,
    /// Whether nothing more begins once something went wrong.
    fail_fast: bool,
    news: mpsc::UnboundedSender<News>,
}

impl Worker {
    async fn work(self) {
        while let Some((place, scenario)) = self.next() {
            // Whoever is told has gone only if the process ends.
            let _ = self.news.send(News::Began(scenario.title()));
            let result = run(&scenario, &self.settings, &mut ()).await;
            if self.fail_fast && result.verdict.is_wrong() {
                self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }
            let _ = self.news.send(News::Ended(place, Box::new(result)));
        }
    }

    fn next(&self) -> Option<(usize, Scenario)> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}
