//! TorchDEQ's options: each one has its effect, or is refused.

use deq::implicit::{DeqConfig, Gradient};
use deq::regularizers::{NormConfig, WeightNormConfig};
use deq::solvers::{Finish, SolveError};
use deq::torchdeq::Options;

fn options(json: &str) -> Options {
    serde_json::from_str(json).expect("well-formed options")
}

fn described(json: &str) -> (DeqConfig, Option<NormConfig>) {
    let options = options(json);
    (options.deq().expect("valid options"), options.norm())
}

#[test]
fn nothing_given_is_torchdeqs_default() {
    let (deq, norm) = described("{}");
    let mut expected = DeqConfig::default();
    expected.forward.termination.finish = Finish::Best;
    assert_eq!(deq, expected);
    let weight_norm = WeightNormConfig::default();
    assert_eq!(norm, Some(NormConfig::WeightNorm(weight_norm)));
}

#[test]
fn every_option_has_an_effect() {
    // What is given on the left changes what the right describes.
    let cases = [
        (r#""f_solver": "anderson""#, ""),
        (r#""f_solver": "broyden""#, ""),
        (r#""f_solver": "simple_fixed_point_iter""#, ""),
        (r#""f_max_iter": 7"#, ""),
        (r#""f_tol": 0.1"#, ""),
        (r#""f_stop_mode": "rel""#, ""),
        (r#""core": "indexing""#, ""),
        (r#""eval_factor": 2.0"#, ""),
        (r#""eval_f_max_iter": 9"#, ""),
        (r#""ift": true"#, ""),
        (r#""hook_ift": true"#, ""),
        (r#""b_solver": "broyden""#, r#""ift": true"#),
        (r#""b_max_iter": 7"#, r#""ift": true"#),
        (r#""b_tol": 0.1"#, r#""ift": true"#),
        (r#""b_stop_mode": "rel""#, r#""ift": true"#),
        (r#""grad": [3]"#, ""),
        (r#""tau": 0.5"#, ""),
        (r#""sup_gap": 2"#, r#""grad": [4]"#),
        (r#""sup_loc": [2]"#, r#""grad": [4]"#),
        (r#""n_states": 2"#, ""),
        (r#""indexing": [5]"#, ""),
        (r#""m": 4"#, r#""f_solver": "anderson""#),
        (r#""lam": 0.1"#, r#""f_solver": "anderson""#),
        (r#""LBFGS_thres": 4"#, r#""f_solver": "broyden""#),
        (r#""norm_type": "none""#, ""),
        (r#""norm_type": "spectral_norm""#, ""),
        (
            r#""sn_n_power_iters": 2"#,
            r#""norm_type": "spectral_norm""#,
        ),
        (r#""norm_no_scale": true"#, ""),
        (r#""norm_target_norm": 2.0"#, r#""norm_no_scale": true"#),
        (r#""norm_clip": true"#, ""),
        (r#""norm_clip_value": 0.5"#, r#""norm_clip": true"#),
    ];
    for (option, base) in cases {
        let with = match base {
            "" => format!("{{{option}}}"),
            base => format!("{{{option}, {base}}}"),
        };
        assert_ne!(
            described(&with),
            described(&format!("{{{base}}}")),
            "{with}"
        );
    }
}

#[test]
fn options_without_effect_are_refused_by_name() {
    let cases = [
        (r#"{"b_tol": 0.1}"#, "b_tol"),
        (r#"{"b_solver": "broyden"}"#, "b_solver"),
        (r#"{"ift": true, "grad": [5]}"#, "grad"),
        (r#"{"ift": true, "tau": 0.5}"#, "tau"),
        (r#"{"m": 5}"#, "m"),
        (r#"{"sn_n_power_iters": 2}"#, "sn_n_power_iters"),
        (r#"{"lam": 0.1, "f_solver": "broyden"}"#, "lam"),
        (r#"{"LBFGS_thres": 5}"#, "LBFGS_thres"),
        (r#"{"n_states": 2, "indexing": [5]}"#, "indexing"),
        (r#"{"grad": [4], "sup_gap": 2, "sup_loc": [1]}"#, "sup_loc"),
        (
            r#"{"eval_factor": 2.0, "eval_f_max_iter": 5}"#,
            "eval_factor",
        ),
        (r#"{"norm_clip_value": 0.5}"#, "norm_clip_value"),
        (r#"{"norm_target_norm": 2.0}"#, "norm_target_norm"),
        (r#"{"norm_type": "none", "norm_clip": true}"#, "norm_clip"),
        (r#"{"grad": [1, 2]}"#, "grad"),
        (r#"{"tau": 2.0}"#, "damping"),
    ];
    for (json, name) in cases {
        match options(json).deq() {
            Err(SolveError::InvalidConfig { field, .. }) => assert_eq!(field, name, "{json}"),
            other => panic!("{json}: {other:?}"),
        }
    }
    for json in [r#"{"stop_mode": "rel"}"#, r#"{"f_solver": "newton"}"#] {
        assert!(serde_json::from_str::<Options>(json).is_err(), "{json}");
    }
}

#[test]
fn implicit_differentiation_is_for_the_last_state() {
    let (deq, _) = described(r#"{"ift": true, "n_states": 2, "grad": [3], "tau": 0.5}"#);
    assert!(matches!(deq.gradient, Gradient::Implicit(_)));
    assert_eq!(deq.state_gradients, [Gradient::phantom(3, 0.5)]);
}
