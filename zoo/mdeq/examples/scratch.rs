#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]
use std::time::Instant;
use burn::module::Module;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::Device;
use deq_datasets::*;
use mdeq::*;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let steps: usize = args[1].parse().unwrap();
    let bs: usize = args[2].parse().unwrap();
    let lr: f64 = args[3].parse().unwrap();
    let dir = std::path::Path::new("../shared/data/fashion-mnist");
    let train = LabelledImages::open_idx(dir, Split::Train, &FASHION_CLASSES).unwrap();
    let test = LabelledImages::open_idx(dir, Split::Test, &FASHION_CLASSES).unwrap();
    let aug = Augment::normalize(&train);
    let device = Device::flex().autodiff();
    let mut config = Preset::FashionTiny.config();
    if let Some(c) = args.get(4) { let c: usize = c.parse().unwrap(); config.channels = vec![c, c]; config.groups = 8; }
    if let Some(c) = args.get(5) { config.expansion = c.parse().unwrap(); }
    if let Some(c) = args.get(6) { config.deq.forward.termination.max_iter = c.parse().unwrap(); }
    if let Some(c) = args.get(7) { config.deq.gradient = deq::prelude::Gradient::phantom(c.parse().unwrap(), 0.5); }
    if let Some(c) = args.get(8) { if c == "picard" { config.deq.forward.solver = deq::prelude::SolverConfig::picard(); } if c == "anderson" { config.deq.forward.solver = deq::prelude::SolverConfig::anderson(); } }
    let mut model = config.init(&device, 0).unwrap();
    println!("params {}", model.parameters());
    let mut adam = AdamConfig::new().init();
    let per = train.count() / bs;
    let mut t = Instant::now();
    let (mut l, mut c) = (0.0, 0);
    let mut order = vec![];
    for step in 0..steps {
        let epoch = step / per; let k = step % per;
        if k == 0 { order = train.order(0, epoch as u64); }
        let batch = train.batch(&order[k*bs..(k+1)*bs], &aug, epoch as u64).unwrap();
        let batch = Batch::new(batch, &device).unwrap();
        let rate = lr * 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / steps as f64).cos());
        let out = train_loss(&model, &batch, &Default::default()).unwrap();
        let t1 = Instant::now();
        let g = out.loss.backward();
        let tb = t1.elapsed().as_secs_f64();
        l += out.loss.into_scalar::<f64>(); c += out.correct;
        let g = GradientsParams::from_grads(g, &model);
        model = adam.step(rate, model, g);
        if (step + 1) % 50 == 0 { println!("{} loss {:.3} acc {:.3} steps {} res {:.2e} {:.3} s/step bwd {:.3}", step + 1, l / 50.0, c as f64 / (50 * bs) as f64, out.stats.steps, out.stats.max_residual(), t.elapsed().as_secs_f64() / 50.0, tb); l = 0.0; c = 0; t = Instant::now(); }
        if (step+1) % 500 == 0 || step + 1 == steps {
            let n = if step + 1 == steps { 10000 } else { 2000 };
            let idx: Vec<usize> = (0..n).collect();
            let batches: Vec<Batch> = idx.chunks(100).map(|i| Batch::new(test.batch(i, &aug.plain(), 0).unwrap(), &device).unwrap()).collect();
            let e = evaluate(&model, batches, None).unwrap();
            println!("TEST {:?}", e);
            t = Instant::now();
        }
    }
    let _ = model.num_params();
}
