//! Measures of generated images.

use burn::tensor::Tensor;
use deq_ddim::{
    DdimError, nearest_neighbours, nearest_others, pixel_statistics, psnr, reconstruction_errors,
};

use crate::common::numbers;

#[test]
fn errors_and_decibels_are_their_definitions() {
    for device in deq::devices::all() {
        let images = numbers([3, 1, 2, 2], &device);
        let shifted = images.clone() + 0.2;
        let errors = reconstruction_errors(shifted, images.clone()).expect("fits");
        assert_eq!(errors.len(), 3);
        assert!(errors.iter().all(|error| (error - 0.04).abs() < 1e-6));
        assert!((psnr(0.04) - 20.0).abs() < 1e-12);
        assert!(psnr(4.0).abs() < 1e-12);
        assert_eq!(psnr(0.0), f64::INFINITY);
        let other = Tensor::<4>::zeros([2, 1, 2, 2], &device);
        assert!(reconstruction_errors(images, other).is_err());
    }
}

#[test]
fn statistics_see_shifts_and_scales_of_pixels() {
    for device in deq::devices::all() {
        let images = numbers([9, 1, 2, 2], &device);
        let same = pixel_statistics(images.clone(), images.clone()).expect("fits");
        assert!(same.mean < 1e-6 && same.deviation < 1e-6);
        let shifted = pixel_statistics(images.clone() + 0.3, images.clone()).expect("fits");
        assert!((shifted.mean - 0.3).abs() < 1e-5 && shifted.deviation < 1e-5);
        let mean = images.clone().mean_dim(0);
        let wider = (images.clone() - mean.clone()) * 2.0 + mean;
        let wider = pixel_statistics(wider, images.clone()).expect("fits");
        assert!(wider.mean < 1e-5 && wider.deviation > 0.1);
        // Fewer generated images than others are fine.
        let few = images.clone().narrow(0, 0, 2);
        assert!(pixel_statistics(few, images).is_ok());
    }
}

#[test]
fn neighbours_are_found_and_copies_told() {
    for device in deq::devices::all() {
        let images = numbers([7, 1, 2, 2], &device);
        let picked = Tensor::cat(
            vec![
                images.clone().narrow(0, 5, 1),
                images.clone().narrow(0, 2, 1) + 0.01,
            ],
            0,
        );
        let found = nearest_neighbours(picked, images.clone()).expect("fits");
        assert_eq!((found[0].index, found[1].index), (5, 2));
        assert!(found[0].distance < 1e-6);
        assert!((found[1].distance - 0.01).abs() < 1e-5);

        let others = nearest_others(images.clone(), 7).expect("fits");
        assert_eq!(others.len(), 7);
        for (index, other) in others.iter().enumerate() {
            assert!(other.index != index && other.distance > 1e-2);
        }
        assert_eq!(nearest_others(images, 3).expect("fits"), others[..3]);
    }
}

#[test]
fn sets_that_do_not_belong_together_are_refused() {
    let device = &deq::devices::all()[0];
    let images = numbers([3, 1, 2, 2], device);
    let larger = numbers([3, 1, 4, 4], device);
    let none = Tensor::<4>::zeros([0, 1, 2, 2], device);
    let error = nearest_neighbours(larger.clone(), images.clone()).expect_err("no fit");
    assert!(matches!(error, DdimError::Shape { .. }));
    assert!(pixel_statistics(larger, images.clone()).is_err());
    let error = nearest_neighbours(images.clone(), none.clone()).expect_err("empty");
    assert_eq!(error, DdimError::Empty("images"));
    assert!(pixel_statistics(none, images.clone()).is_err());
    assert!(nearest_others(images.clone().narrow(0, 0, 1), 1).is_err());
    for count in [0, 4] {
        let error = nearest_others(images.clone(), count).expect_err("out of range");
        assert!(error.to_string().contains("`count`"), "{error}");
    }
}
