import tseslint from 'typescript-eslint'

const RESTRICTED = [
  { selector: 'ExportDefaultDeclaration', message: 'Export by name.' },
  { selector: 'ExportAllDeclaration', message: 'No barrel files.' },
  { selector: "MemberExpression[object.name='process'][property.name='exit']", message: 'Only bin exits.' },
]

export default tseslint.config(
  { ignores: ['build', 'node_modules', '.tap', 'data', 'repos', 'bench/.cache'] },
  {
    files: ['src/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      'max-lines': ['error', { max: 400 }],
      'no-console': 'error',
      eqeqeq: 'error',
      'no-restricted-syntax': ['error', ...RESTRICTED],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/prefer-nullish-coalescing': 'error',
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // `void t.test(…)` and `await t.test(…)` are both right in tap; a rejected promise fails the test either way.
      '@typescript-eslint/no-floating-promises': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
      // An async function is how tap is told that a test ends by itself.
      '@typescript-eslint/require-await': 'off',
    },
  },
  {
    // Tap removes its folders before it ends what a test has started, which still writes there.
    files: ['test/{acceptance,cli,security,slow}/**/*.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        ...RESTRICTED,
        { selector: "MemberExpression[property.name='testdir']", message: 'Use temporaryFolder().' },
      ],
    },
  },
)
