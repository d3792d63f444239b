#pragma once

/// Marks what the shared library exports; everything else in it stays hidden.
#define BZMQ_EXPORT __attribute__((visibility("default")))
