#include <gtest/gtest.h>

TEST(simulator, placeholder) {}
