# What `cmake --install` lays down: headers, both libraries, the CMake package and the pkg-config file.
include(CMakePackageConfigHelpers)
install(DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/include/bzmq DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS bzmq_static bzmq_shared EXPORT bzmqTargets)
install(EXPORT bzmqTargets NAMESPACE bzmq:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/bzmq)
configure_package_config_file(${CMAKE_CURRENT_SOURCE_DIR}/cmake/bzmqConfig.cmake.in
  ${CMAKE_CURRENT_BINARY_DIR}/bzmqConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/bzmq)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/bzmqConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
# Relative, so that an installed tree may be moved.
file(RELATIVE_PATH BZMQ_PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${CMAKE_CURRENT_SOURCE_DIR}/cmake/bzmq.pc.in ${CMAKE_CURRENT_BINARY_DIR}/bzmq.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/bzmqConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/bzmqConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/bzmq)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/bzmq.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
