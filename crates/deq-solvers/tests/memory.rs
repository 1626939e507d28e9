//! The memory of a solve is bounded by the solver's window and not by its steps.
//!
//! One test per file: the allocator is shared. Measured on the host, so on the CPU backends.

use burn::tensor::Tensor;
use deq_solvers::{AndersonConfig, BroydenConfig, Finish, Mixing, SolveConfig, SolverConfig};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const STATE: usize = 8 * 512 * 4;

fn peak(solver: &SolverConfig, steps: usize) -> usize {
    // Flex, as in a build of nothing else: the temporaries of other backends differ from run to run.
    let device = deq_devices::double_precision()
        .into_iter()
        .find(|device| device.memory_pool_usage().is_none());
    let Some(device) = device else { return 0 };
    let mut config = SolveConfig::new(solver.clone())
        .with_tolerance(0.0)
        .with_max_iter(steps);
    config.termination.finish = Finish::Final;
    config.termination.divergence = None;
    let start = Tensor::<2>::full([8, 512], 0.3, &device);
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let map = |z: Tensor<2>| (z * 2.1 + 0.4).sin() * 1.3;
    let solution = config.solve(map, start).expect("a valid solve");
    assert_eq!(solution.stats.steps, steps, "{solver:?}");
    MEMORY.peak_usage() - before
}

#[test]
fn memory_does_not_grow_with_steps() {
    let mut solvers = SolverConfig::all();
    solvers.retain(|solver| !matches!(solver, SolverConfig::Robust(_)));
    solvers.push(SolverConfig::Anderson(AndersonConfig {
        mixing: Mixing::Qr,
        safeguard: Some(2.0),
        ..AndersonConfig::default()
    }));
    solvers.push(SolverConfig::Anderson(AndersonConfig {
        mixing: Mixing::TypeOne,
        ..AndersonConfig::default()
    }));
    solvers.push(SolverConfig::Broyden(BroydenConfig {
        memory: 10,
        ..BroydenConfig::default()
    }));
    for solver in solvers {
        peak(&solver, 50); // the first solve also fills the backend's own caches
        let (short, long) = (peak(&solver, 50), peak(&solver, 400));
        // The trace has a line of 32 bytes per step.
        let grown = long.saturating_sub(short);
        assert!(
            grown < STATE,
            "{solver:?}: {short} bytes at 50 steps, {long} at 400"
        );
    }
}
