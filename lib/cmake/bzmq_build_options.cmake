# Compiler options that every target of this project shares: the interface target bzmq_options.
find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()
find_program(MOLD_PROGRAM mold)

add_library(bzmq_options INTERFACE)
target_compile_options(bzmq_options INTERFACE
  -Wall -Wextra -Wpedantic -Wnon-virtual-dtor -Wimplicit-fallthrough -fno-omit-frame-pointer)
# bzmq::count and the like are types: GCC would have no local variable of that name, clang knows better.
target_compile_options(bzmq_options INTERFACE
  $<IF:$<CXX_COMPILER_ID:GNU>,-Wshadow=local,-Wshadow>)
# At -O3 GCC 12 warns of its own library's vector (PR 105329 and the like).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(bzmq_options INTERFACE -Wno-array-bounds -Wno-stringop-overflow -Wno-restrict)
endif()
if(BZMQ_DEVELOPER_MODE)
  target_compile_options(bzmq_options INTERFACE -Werror)
endif()
if(BZMQ_ASSERTIONS)
  target_compile_definitions(bzmq_options INTERFACE BZMQ_ASSERTIONS=1)
endif()
if(BZMQ_SANITIZE)
  # A report holds its thread up while the debug information of the whole program is read, for a
  # second where that is full: lines are enough. And -O1 builds in two thirds of the time.
  target_compile_options(bzmq_options INTERFACE
    -fsanitize=${BZMQ_SANITIZE} -fno-sanitize-recover=all -O1 -g1)
  target_link_options(bzmq_options INTERFACE -fsanitize=${BZMQ_SANITIZE})
endif()
if(BZMQ_FUZZ)
  target_compile_options(bzmq_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(MOLD_PROGRAM AND NOT BZMQ_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_link_options(bzmq_options INTERFACE -fuse-ld=mold)
endif()
