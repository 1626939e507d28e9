//! What is heard of an adjoint solve.
//!
//! Alone in its binary: whether an event is listened to is remembered for the whole process.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use burn::tensor::Tensor;
use deq_implicit::{DeqConfig, Gradient};
use deq_solvers::SolverConfig;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

type Matrix = Tensor<2>;
type Args = (Matrix, Matrix);

/// Keeps the level and the fields of every event of this crate.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<(Level, String)>>>);

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("deq_implicit")
    }

    fn event(&self, event: &Event<'_>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                self.0 += &format!("{field}={value:?} ");
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        let mut heard = self.0.lock().expect("no test panics while it listens");
        heard.push((*event.metadata().level(), text.0));
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _span: &Id, _values: &Record<'_>) {}
    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}
    fn enter(&self, _span: &Id) {}
    fn exit(&self, _span: &Id) {}
}

#[test]
fn an_adjoint_solve_is_heard_and_a_failed_one_warns() {
    for device in deq_devices::all() {
        let hear = |scale: f64| {
            let autodiff = device.clone().autodiff();
            let w = Matrix::full([2, 2], 0.25 * scale, &autodiff).require_grad();
            let args = (w, Matrix::ones([3, 2], &autodiff).require_grad());
            let ear = Ear::default();
            tracing::subscriber::with_default(ear.clone(), || {
                let linear = |(w, x): &Args, z: Matrix| z.matmul(w.clone()) + x.clone();
                let start = args.1.clone().inner().zeros_like();
                let deq = DeqConfig::default()
                    .with_solver(SolverConfig::broyden())
                    .with_gradient(Gradient::implicit())
                    .init()
                    .expect("a valid layer");
                let solved = deq.solve(&args, start, linear).expect("a valid solve");
                solved.into_last().sum().backward();
            });
            ear.0.lock().expect("nobody panicked").clone()
        };
        let heard = hear(1.0);
        assert_eq!(heard.len(), 1, "{heard:?}");
        assert_eq!(heard[0].0, Level::DEBUG);
        for field in ["steps=", "evaluations=", "residual=", "status=Converged"] {
            assert!(heard[0].1.contains(field), "{heard:?}");
        }
        // Picard's adjoint solve diverges on a map that expands.
        let heard = hear(8.0);
        assert_eq!(heard.len(), 2, "{heard:?}");
        assert_eq!(heard[1].0, Level::WARN);
        assert!(heard[1].1.contains("failed="), "{heard:?}");
    }
}
