//! One run: a model, searched from all starts, and its origin.

use std::time::Instant;

use anyhow::Result;
use burn::tensor::Device;
use deq_collapse::ufm::{
    CriticalPoint, LanczosConfig, Point, SearchConfig, UfmConfig, landscape, smallest_eigenvalue,
};

use super::record::{Found, Measured, Origin, Settings};
use super::setup::{MULTIPLES, Setup};
use crate::commands::interrupt;
use crate::commands::study::folder::finite;
use crate::commands::study::progress::Progress;

/// Searches; `None` if Ctrl-C came before the end.
pub(super) fn search(
    settings: &Settings,
    device: &Device,
    progress: &Progress,
) -> Result<Option<Measured>> {
    let Setup {
        model,
        search,
        searches,
    } = &settings.setup;
    let started = Instant::now();
    let ufm = model.init()?;
    let global_value = ufm.minimiser()?.value;
    let mut points = Vec::new();
    for seed in 0..*searches as u64 {
        if interrupt::interrupted() {
            return Ok(None);
        }
        let search = SearchConfig {
            seed,
            ..search.clone()
        };
        let found = landscape(&ufm, &search, device)?;
        points.extend(found.points.iter().map(|point| entry(point, global_value)));
        progress.step(String::new());
    }
    let origin = MULTIPLES.iter().map(|&at| origin(model, at));
    let origin = origin.collect::<Result<_>>()?;
    Ok(Some(Measured {
        global_value,
        points,
        origin,
        seconds: started.elapsed().as_secs_f64(),
    }))
}

fn entry(point: &CriticalPoint, global_value: f64) -> Found {
    Found {
        kind: point.kind,
        descent: point.descent,
        above: finite(point.value - global_value),
        gradient_norm: finite(point.gradient_norm),
        smallest_eigenvalue: point.smallest_eigenvalue.and_then(finite),
        certificate: finite(point.certificate),
    }
}

/// The origin of the model with decays so that $K \sqrt n\, \mu$ is `at`.
fn origin(model: &UfmConfig, at: f64) -> Result<Origin> {
    let classes = model.counts.len() as f64;
    let samples = model.counts.iter().sum::<usize>() as f64 / classes;
    let mu = at / (classes * samples.sqrt());
    let model = UfmConfig {
        lambda_w: 2.0 * mu,
        lambda_h: 0.5 * mu,
        ..model.clone()
    };
    let ufm = model.init()?;
    let origin = ufm.origin()?;
    // Both lengths are the model's own.
    let product = |values: &[f64]| {
        let direction = Point::from_values(&ufm, values);
        let product = direction.and_then(|direction| ufm.hessian_product(&origin, &direction));
        product.map_or_else(|_| Vec::new(), |product| product.to_values())
    };
    let found = smallest_eigenvalue(ufm.dimension(), product, &LanczosConfig::default())?;
    Ok(Origin {
        at,
        closed_form: ufm.origin_smallest()?,
        lanczos: found.value,
        above: ufm.objective(&origin)? - ufm.minimiser()?.value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::study::landscape::setup::Loss;
    use crate::commands::study::scale::Scale;
    use crate::commands::study::settings::Head;
    use deq_collapse::ufm::Kind;

    #[test]
    fn the_origin_changes_at_one() {
        for loss in Loss::ALL {
            let model = Setup::new(Scale::Smoke, loss, [3, 2]).model;
            for at in MULTIPLES {
                let found = origin(&model, at).expect("a closed form");
                assert!(
                    (found.closed_form - found.lanczos).abs() < 1e-9,
                    "{found:?}"
                );
                let expected = match at {
                    at if at < 1.0 => "strict saddle",
                    at if at > 1.0 => "minimum",
                    _ => "on the threshold",
                };
                assert_eq!(found.title(), expected, "{found:?}");
                assert!(found.above >= -1e-14, "{found:?}");
            }
        }
    }

    #[test]
    fn every_start_is_searched_from() {
        for backend in deq::devices::compiled() {
            if !backend.computes_f64() || backend.is_gpu() {
                continue;
            }
            let name = backend.name().parse().expect("a device");
            let device = deq::devices::parse(backend.name()).expect("compiled in");
            let head = Head::new(Scale::Smoke, name);
            let mut settings = Settings::new(&head, Loss::Mse, [3, 0]);
            settings.setup.searches = 2;
            settings.setup.search.starts = 5;
            let found = search(&settings, &device, &Progress::hidden());
            let found = found.expect("searches").expect("nobody interrupts");
            assert_eq!(found.points.len(), 10);
            // The seeds differ.
            assert_ne!(found.points[..5], found.points[5..]);
            for point in &found.points {
                assert_ne!(point.kind, Kind::Neither, "{point:?}");
            }
            assert_eq!(found.origin.len(), MULTIPLES.len());
        }
    }
}
