use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::checkpoint::Checkpoints;
use crate::environment::seconds_since_1970;
use crate::manifest::Progress;
use crate::metrics_log::{MetricsLog, Record};
use crate::tensorboard::EventFile;
use crate::{Best, Display, Learner, LearnerError, Metrics, RunFolder, TrainConfig, TrainError};

/// Trains a [`Learner`] in a [`RunFolder`].
///
/// Whether a run starts or resumes is decided by its folder alone: [`run`](Self::run) goes on from
/// the newest whole checkpoint, and from the beginning when there is none. What is then computed
/// is bit for bit what one uninterrupted run computes, if the learner keeps the promises of
/// [`Learner`] and the device computes the same twice (a single-threaded CPU device does).
#[derive(Debug)]
pub struct Trainer {
    folder: RunFolder,
    config: TrainConfig,
}

/// Why a run ended. After any of these there is a checkpoint of its last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All steps are done.
    Finished,
    /// No better evaluation for as long as patience allows.
    EarlyStop,
    /// The interrupt was set; the run can be resumed.
    Interrupted,
    /// The time budget is spent; the run can be resumed.
    TimeBudget,
}

/// How a run went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Why it ended.
    pub ended: Ended,
    /// How many steps are done, over all starts.
    pub step: u64,
    /// The best evaluation, when the configuration says which is.
    pub best: Option<Best>,
    /// Time spent training, in seconds, over all starts.
    pub seconds: f64,
}

impl Trainer {
    /// Trains in `folder`.
    ///
    /// # Errors
    /// [`TrainError::InvalidConfig`] when a setting is out of its range.
    pub fn new(folder: RunFolder, config: TrainConfig) -> Result<Self, TrainError> {
        config.validate()?;
        Ok(Self { folder, config })
    }

    /// The run's folder.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Trains from the newest checkpoint to the end, or until `interrupt` is set (by a handler of
    /// Ctrl-C, say), which is looked at after each step.
    ///
    /// # Errors
    /// [`TrainError`]; what was saved before stays.
    pub fn run(
        &mut self,
        learner: &mut dyn Learner,
        interrupt: &AtomicBool,
        display: &mut dyn Display,
    ) -> Result<Outcome, TrainError> {
        let mut run = Run::restore(&self.folder, &self.config, learner, display)?;
        run.display.start(run.step, self.config.steps);
        let result = run.train(learner, interrupt);
        let outcome = result.map(|ended| Outcome {
            ended,
            step: run.step,
            best: run.progress.best,
            seconds: run.seconds(),
        });
        run.display.end(outcome.as_ref().ok());
        outcome
    }
}

/// One start of a run.
struct Run<'a> {
    config: &'a TrainConfig,
    checkpoints: Checkpoints,
    metrics: MetricsLog,
    events: EventFile,
    display: &'a mut dyn Display,
    /// How many steps are done.
    step: u64,
    progress: Progress,
    /// The step of the newest checkpoint.
    saved: Option<u64>,
    started: Instant,
    last_save: Instant,
}

impl<'a> Run<'a> {
    fn restore(
        folder: &RunFolder,
        config: &'a TrainConfig,
        learner: &mut dyn Learner,
        display: &'a mut dyn Display,
    ) -> Result<Self, TrainError> {
        let checkpoints = Checkpoints::open(folder.file("checkpoints"))?;
        let newest = checkpoints.newest(&mut |note: &str| display.note(note))?;
        let mut step = 0;
        let mut progress = Progress::default();
        let saved = newest.as_ref().map(|(_, manifest)| manifest.step);
        if let Some((path, manifest)) = newest {
            if manifest.seed != config.seed {
                return Err(TrainError::OtherSeed {
                    path,
                    found: manifest.seed,
                    expected: config.seed,
                });
            }
            step = manifest.step;
            progress = manifest.progress;
            learner
                .load(&path)
                .map_err(|source| failed("loading", step, source))?;
            display.note(&format!("goes on after step {step}"));
        }
        let (metrics, lost) =
            MetricsLog::open(folder.file("metrics.jsonl"), progress.metrics_bytes)?;
        if let Some(lost) = lost {
            display.note(&lost);
        }
        let events = folder.file("tensorboard");
        Ok(Self {
            config,
            checkpoints,
            metrics,
            events: EventFile::create(&events, step, seconds_since_1970())?,
            display,
            step,
            progress,
            saved,
            started: Instant::now(),
            last_save: Instant::now(),
        })
    }

    fn train(
        &mut self,
        learner: &mut dyn Learner,
        interrupt: &AtomicBool,
    ) -> Result<Ended, TrainError> {
        let first = self.step;
        let ended = loop {
            if self.step >= self.config.steps {
                break Ended::Finished;
            }
            if self.out_of_patience() {
                break Ended::EarlyStop;
            }
            if interrupt.load(Ordering::Relaxed) {
                break Ended::Interrupted;
            }
            if self.step > first && self.out_of_time() {
                break Ended::TimeBudget;
            }
            self.advance(learner)?;
        };
        self.checkpoint(learner)?;
        Ok(ended)
    }

    /// One step, and what is due after it.
    fn advance(&mut self, learner: &mut dyn Learner) -> Result<(), TrainError> {
        let rate = self.config.schedule.rate(self.step);
        let metrics = learner
            .step(self.step, rate)
            .map_err(|source| failed("the next step", self.step, source))?;
        self.step += 1;
        if let Some(value) = metrics.get("loss").filter(|loss| !loss.is_finite()) {
            let step = self.step;
            return Err(TrainError::NonFiniteLoss { step, value });
        }
        let last = self.step == self.config.steps;
        if last || self.step.is_multiple_of(self.config.log_every) {
            let mut recorded = Metrics::new().with("rate", rate);
            for (name, value) in metrics.iter() {
                recorded.insert(name, value);
            }
            self.record("train", &recorded)?;
        }
        self.display.step(self.step, &metrics);

        let due = |every: Option<u64>| every.is_some_and(|every| self.step.is_multiple_of(every));
        let (evaluate, save) = (
            last || due(self.config.evaluate_every),
            due(self.config.checkpoint_every),
        );
        let better = evaluate && self.evaluate(learner)?;
        let old = self.last_save.elapsed().as_secs_f64() >= self.config.checkpoint_seconds;
        if better || save || old {
            self.checkpoint(learner)?;
        }
        Ok(())
    }

    /// Evaluates, and tells whether it is the best so far.
    fn evaluate(&mut self, learner: &mut dyn Learner) -> Result<bool, TrainError> {
        let metrics = learner
            .evaluate()
            .map_err(|source| failed("evaluation", self.step, source))?;
        if !metrics.is_empty() {
            self.record("evaluation", &metrics)?;
            self.display.evaluation(self.step, &metrics);
        }
        let Some(by) = &self.config.best else {
            return Ok(false);
        };
        let Some(value) = metrics.get(&by.metric) else {
            let names: Vec<&str> = metrics.iter().map(|(name, _)| name).collect();
            return Err(TrainError::NoSuchMetric {
                name: by.metric.clone(),
                measured: names.join(", "),
            });
        };
        let best = self.progress.best.map(|best| best.value);
        let better = by.improves(value, best);
        if better {
            let step = self.step;
            self.progress.best = Some(Best { step, value });
            self.progress.evaluations_since_best = 0;
        } else {
            self.progress.evaluations_since_best += 1;
        }
        Ok(better)
    }

    fn record(&mut self, phase: &str, metrics: &Metrics) -> Result<(), TrainError> {
        let record = Record {
            step: self.step,
            time: seconds_since_1970(),
            phase,
            metrics,
        };
        self.metrics.append(&record)?;
        self.events
            .scalars(record.step, record.time, record.tagged())
    }

    fn checkpoint(&mut self, learner: &dyn Learner) -> Result<(), TrainError> {
        if self.saved == Some(self.step) {
            return Ok(());
        }
        // A checkpoint never promises metrics that are not on disk.
        let progress = Progress {
            seconds: self.seconds(),
            metrics_bytes: self.metrics.sync()?,
            ..self.progress.clone()
        };
        let save = |folder: &Path| {
            learner
                .save(folder)
                .map_err(|source| failed("saving", self.step, source))
        };
        self.checkpoints
            .write(self.step, self.config.seed, &progress, save)?;
        self.saved = Some(self.step);
        self.last_save = Instant::now();
        let best = self.progress.best.map(|best| best.step);
        self.checkpoints.retain(self.config.keep_last, best)
    }

    fn out_of_patience(&self) -> bool {
        let patience = self.config.best.as_ref().and_then(|best| best.patience);
        patience.is_some_and(|patience| self.progress.evaluations_since_best >= patience)
    }

    fn out_of_time(&self) -> bool {
        let budget = self.config.time_budget;
        budget.is_some_and(|budget| self.started.elapsed().as_secs_f64() >= budget)
    }

    fn seconds(&self) -> f64 {
        self.progress.seconds + self.started.elapsed().as_secs_f64()
    }
}

fn failed(doing: &'static str, step: u64, source: LearnerError) -> TrainError {
    TrainError::Learner {
        doing,
        step,
        source,
    }
}
