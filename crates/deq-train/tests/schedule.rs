//! Schedules against closed values, and what they refuse.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use deq_train::{Anneal, Schedule, TrainConfig};

fn close(found: f64, expected: f64) {
    let error = (found - expected).abs() / expected.abs().max(1e-12);
    assert!(error < 1e-12, "{found} instead of {expected}");
}

fn parse(text: &str) -> Schedule {
    let config: TrainConfig = toml::from_str(&format!("schedule = {text}")).unwrap();
    config.validate().unwrap();
    config.schedule
}

#[test]
fn constant() {
    let schedule = parse(r#"{ kind = "constant", rate = 0.02 }"#);
    for t in [0, 7, 1_000_000] {
        close(schedule.rate(t), 0.02);
    }
}

#[test]
fn cosine() {
    let schedule = parse(r#"{ kind = "cosine", rate = 0.2, last = 0.1, steps = 12 }"#);
    // cos 0 = 1, cos 60° = 1/2, cos 90° = 0, cos 120° = -1/2, cos 180° = -1.
    for (t, rate) in [
        (0, 0.2),
        (4, 0.175),
        (6, 0.15),
        (8, 0.125),
        (12, 0.1),
        (99, 0.1),
    ] {
        close(schedule.rate(t), rate);
    }
    assert!(
        parse(r#"{ kind = "cosine", rate = 0.2, steps = 12 }"#)
            .rate(12)
            .abs()
            < 1e-15
    );
}

#[test]
fn warmup_then_cosine() {
    let text = r#"{ kind = "warmup_cosine", rate = 0.4, last = 0.2, warmup = 4, steps = 16 }"#;
    let schedule = parse(text);
    for (t, rate) in [
        (0, 0.1),
        (1, 0.2),
        (3, 0.4),
        (4, 0.4),
        (8, 0.35),
        (10, 0.3),
        (16, 0.2),
        (17, 0.2),
    ] {
        close(schedule.rate(t), rate);
    }
}

#[test]
fn one_cycle_has_pytorchs_numbers() {
    // `torch.optim.lr_scheduler.OneCycleLR(max_lr=1, total_steps=11, pct_start=3/11,
    // div_factor=10, final_div_factor=10)`: the peak is at step 2, the end at step 10.
    let cycle = |anneal| Schedule::OneCycle {
        rate: 1.0,
        steps: 11,
        rise: 3.0 / 11.0,
        start_divisor: 10.0,
        end_divisor: 10.0,
        anneal,
    };
    let linear = cycle(Anneal::Linear);
    linear.validate().unwrap();
    for (t, rate) in [
        (0, 0.1),
        (1, 0.55),
        (2, 1.0),
        (6, 0.505),
        (10, 0.01),
        (11, 0.01),
    ] {
        close(linear.rate(t), rate);
    }
    let cosine = cycle(Anneal::Cosine);
    let quarter = 0.01 + 0.99 / 2.0 * (1.0 + std::f64::consts::FRAC_1_SQRT_2);
    for (t, rate) in [
        (0, 0.1),
        (1, 0.55),
        (2, 1.0),
        (4, quarter),
        (6, 0.505),
        (10, 0.01),
    ] {
        close(cosine.rate(t), rate);
    }
    let default = parse(r#"{ kind = "one_cycle", rate = 1.0, steps = 100 }"#);
    close(default.rate(0), 0.04);
    close(default.rate(29), 1.0);
    close(default.rate(99), 4e-6);
}

#[test]
fn steps() {
    let schedule = parse(r#"{ kind = "steps", rate = 0.8, factor = 0.5, at = [10, 20] }"#);
    for (t, rate) in [
        (0, 0.8),
        (9, 0.8),
        (10, 0.4),
        (19, 0.4),
        (20, 0.2),
        (500, 0.2),
    ] {
        close(schedule.rate(t), rate);
    }
}

#[test]
fn what_is_out_of_range_is_refused_by_name() {
    for (text, field) in [
        (r#"{ kind = "constant", rate = 0.0 }"#, "rate"),
        (r#"{ kind = "constant", rate = nan }"#, "rate"),
        (r#"{ kind = "cosine", rate = 1.0, steps = 0 }"#, "steps"),
        (
            r#"{ kind = "cosine", rate = 1.0, last = 2.0, steps = 9 }"#,
            "last",
        ),
        (
            r#"{ kind = "warmup_cosine", rate = 1.0, warmup = 9, steps = 9 }"#,
            "warmup",
        ),
        (r#"{ kind = "one_cycle", rate = 1.0, steps = 1 }"#, "steps"),
        (
            r#"{ kind = "one_cycle", rate = 1.0, steps = 9, rise = 1.0 }"#,
            "rise",
        ),
        (
            r#"{ kind = "one_cycle", rate = 1.0, steps = 9, rise = 0.1 }"#,
            "rise",
        ),
        (
            r#"{ kind = "one_cycle", rate = 1.0, steps = 9, start_divisor = 0.5 }"#,
            "start_divisor",
        ),
        (
            r#"{ kind = "one_cycle", rate = 1.0, steps = 9, end_divisor = inf }"#,
            "end_divisor",
        ),
        (
            r#"{ kind = "steps", rate = 1.0, factor = -1.0, at = [] }"#,
            "factor",
        ),
        (
            r#"{ kind = "steps", rate = 1.0, factor = 0.1, at = [3, 3] }"#,
            "at",
        ),
    ] {
        let config: TrainConfig = toml::from_str(&format!("schedule = {text}")).unwrap();
        let error = config.validate().expect_err(text).to_string();
        assert!(
            error.starts_with(&format!("`schedule.{field}`")),
            "{text}: {error}"
        );
    }
    for (text, field) in [
        ("steps = 0", "steps"),
        ("log_every = 0", "log_every"),
        ("evaluate_every = 0", "evaluate_every"),
        ("checkpoint_every = 0", "checkpoint_every"),
        ("checkpoint_seconds = 0.0", "checkpoint_seconds"),
        ("keep_last = 0", "keep_last"),
        ("time_budget = -1.0", "time_budget"),
        (
            r#"best = { metric = "e", mode = "min", patience = 0 }"#,
            "patience",
        ),
        (
            r#"best = { metric = "e", mode = "max", min_delta = -1.0 }"#,
            "min_delta",
        ),
    ] {
        let config: TrainConfig = toml::from_str(text).unwrap();
        let error = config.validate().expect_err(text).to_string();
        assert!(error.starts_with(&format!("`{field}`")), "{text}: {error}");
    }
    for text in [
        r#"schedule = { kind = "constant", rate = 1.0, steps = 4 }"#,
        r#"schedule = { kind = "staircase", rate = 1.0 }"#,
        r#"best = { metric = "e", mode = "min", patients = 3 }"#,
        "step = 4",
    ] {
        assert!(toml::from_str::<TrainConfig>(text).is_err(), "{text}");
    }
}

#[test]
fn a_configuration_survives_its_file() {
    let config = TrainConfig {
        schedule: parse(r#"{ kind = "one_cycle", rate = 0.1, steps = 70, anneal = "linear" }"#),
        evaluate_every: Some(5),
        ..TrainConfig::default()
    };
    let text = toml::to_string_pretty(&config).unwrap();
    assert_eq!(toml::from_str::<TrainConfig>(&text).unwrap(), config);
}
