//! The tests of this crate in one binary: burn is linked once.

mod accuracy;
mod attention;
mod bias;
mod common;
mod convolution;
mod elementwise;
mod group_norm;
mod layer_norm;
mod layers;
mod linear;
mod output;
mod product;
mod residual;
mod softmax;
mod sparse;
mod sum;
mod threads;
mod windows;
