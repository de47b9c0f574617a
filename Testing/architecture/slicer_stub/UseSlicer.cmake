# The commands of Slicer that the extension uses: same arguments, same places in the build and the install tree.
include(CTest)

# Copies the files into the build tree and installs what lies there: the folder itself where WITH_SUBDIR asks for a
# package of its own, else everything in it.
function(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MODULE "WITH_SUBDIR" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MODULE_UNPARSED_ARGUMENTS OR NOT MODULE_NAME)
    message(FATAL_ERROR "slicerMacroBuildScriptedModule: wrong arguments ${ARGN}")
  endif()
  set(built ${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR})
  set(installed_from ${built}/)
  if(MODULE_WITH_SUBDIR)
    get_filename_component(folder ${CMAKE_CURRENT_SOURCE_DIR} NAME)
    set(built ${built}/${folder})
    set(installed_from ${built})
  endif()

  set(copies)
  foreach(file IN LISTS MODULE_SCRIPTS MODULE_RESOURCES)
    if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
      message(FATAL_ERROR "${MODULE_NAME} lists ${file}, which does not exist")
    endif()
    add_custom_command(
      OUTPUT ${built}/${file}
      COMMAND ${CMAKE_COMMAND} -E copy ${CMAKE_CURRENT_SOURCE_DIR}/${file} ${built}/${file}
      DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${file}
      )
    list(APPEND copies ${built}/${file})
  endforeach()
  add_custom_target(Copy${MODULE_NAME} ALL DEPENDS ${copies})
  install(
    DIRECTORY ${installed_from}
    DESTINATION ${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}
    COMPONENT RuntimeLibraries
    )
endfunction()

# A test that Slicer would run: by name only.
function(slicer_add_python_unittest)
  cmake_parse_arguments(UNITTEST "" "SCRIPT;TESTNAME_PREFIX" "SLICER_ARGS" ${ARGN})
  if(UNITTEST_UNPARSED_ARGUMENTS OR NOT EXISTS ${UNITTEST_SCRIPT})
    message(FATAL_ERROR "slicer_add_python_unittest: wrong arguments or no such script: ${ARGN}")
  endif()
  get_filename_component(name ${UNITTEST_SCRIPT} NAME_WE)
  add_test(NAME py_${UNITTEST_TESTNAME_PREFIX}${name} COMMAND ${CMAKE_COMMAND} -E true)
endfunction()
